#define _GNU_SOURCE
#include "cplatform.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <termios.h>
#include <unistd.h>

int postern_spawn_on_pty(char *const argv[], char *const envp[], unsigned short rows, unsigned short columns,
                         pid_t *child) {
    struct winsize size = {.ws_row = rows, .ws_col = columns};
    int master = -1;
    pid_t pid = forkpty(&master, NULL, NULL, &size);
    if (pid < 0) return -1;
    if (pid == 0) {
        // Between fork and exec: only async-signal-safe calls.
        sigset_t none;
        sigemptyset(&none);
        for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
        sigprocmask(SIG_SETMASK, &none, NULL);
        close_range(3, ~0U, 0);
        execvpe(argv[0], argv, envp);
        const char *reason = strerror(errno);
        (void)!write(2, "postern: cannot start ", 22);
        (void)!write(2, argv[0], strlen(argv[0]));
        (void)!write(2, ": ", 2);
        (void)!write(2, reason, strlen(reason));
        (void)!write(2, "\r\n", 2);
        _exit(127);
    }
    fcntl(master, F_SETFD, FD_CLOEXEC);
    *child = pid;
    return master;
}

int postern_set_window_size(int terminal, unsigned short rows, unsigned short columns) {
    struct winsize size = {.ws_row = rows, .ws_col = columns};
    return ioctl(terminal, TIOCSWINSZ, &size);
}

int postern_get_window_size(int terminal, unsigned short *rows, unsigned short *columns) {
    struct winsize size;
    if (ioctl(terminal, TIOCGWINSZ, &size) < 0) return -1;
    *rows = size.ws_row;
    *columns = size.ws_col;
    return 0;
}

int postern_is_terminal(int descriptor) { return isatty(descriptor); }

// Raw mode

static struct termios saved_mode;
static volatile sig_atomic_t raw_terminal = -1;
static int guardian_pipe = -1;

// What a program may have left switched on: Modes.off (Sources/Terminal/Modes.swift), and the window's title. Each is harmless when it is off
// already. ESC 7 first: leaving the alternate screen restores a saved cursor, and without a save that would be the wrong one.
static const char reset_modes[] =
    "\0337\033[?2026l\033[<99u\033[?1049l\033[<99u\033[=0;1u\033[>4m\033[r\033[?6l\033[?7h\033[4l\033[20l\033[?1l\033>"
    "\033[?5l\033[?9l\033[?1000l\033[?1002l\033[?1003l\033[?1005l\033[?1006l\033[?1015l\033[?1016l\033[?1004l"
    "\033[?2004l\033[?2031l\033(B\033)B\017\033[0 q\033[?25h\033[0m\033[23;2t\r\n";

static void restore(int terminal) {
    tcsetattr(terminal, TCSADRAIN, &saved_mode);
}

void postern_leave_raw_mode(void) {
    int terminal = raw_terminal;
    if (terminal < 0) return;
    raw_terminal = -1;
    restore(terminal);
    // Tells the guardian that there is nothing left to do.
    if (guardian_pipe >= 0) (void)!write(guardian_pipe, "q", 1);
}

static void die_restored(int number) {
    if (raw_terminal >= 0) (void)!write(raw_terminal, reset_modes, sizeof reset_modes - 1);
    postern_leave_raw_mode();
    signal(number, SIG_DFL);
    raise(number);
}

static void start_guardian(int terminal) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) return;
    pid_t pid = fork();
    if (pid < 0) {
        close(ends[0]);
        close(ends[1]);
        return;
    }
    if (pid > 0) {
        close(ends[0]);
        guardian_pipe = ends[1];
        return;
    }
    // The guardian: only async-signal-safe calls. It outlives whatever kills its parent.
    prctl(PR_SET_NAME, "postern-tty");
    for (int number = 1; number < NSIG; number++) signal(number, SIG_IGN);
    int terminal_copy = fcntl(terminal, F_DUPFD, 3);
    int pipe_copy = fcntl(ends[0], F_DUPFD, terminal_copy + 1);
    dup2(terminal_copy, 3);
    dup2(pipe_copy, 4);
    for (int number = 0; number < 3; number++) close(number);
    close_range(5, ~0U, 0);
    char byte;
    ssize_t count;
    do count = read(4, &byte, 1);
    while (count < 0 && errno == EINTR);
    if (count == 0) {
        (void)!write(3, reset_modes, sizeof reset_modes - 1);
        restore(3);
    }
    _exit(0);
}

int postern_enter_raw_mode(int terminal) {
    if (tcgetattr(terminal, &saved_mode) < 0) return -1;
    start_guardian(terminal);
    raw_terminal = terminal;
    atexit(postern_leave_raw_mode);
    static const int fatal[] = {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP, SIGSYS, SIGQUIT};
    struct sigaction action = {.sa_handler = die_restored, .sa_flags = SA_RESETHAND};
    for (size_t index = 0; index < sizeof fatal / sizeof fatal[0]; index++) sigaction(fatal[index], &action, NULL);
    struct termios raw = saved_mode;
    cfmakeraw(&raw);
    return tcsetattr(terminal, TCSADRAIN, &raw);
}

ssize_t postern_read_secret(int terminal, char *line, size_t capacity) {
    struct termios before, silent;
    if (tcgetattr(terminal, &before) < 0) return -1;
    silent = before;
    silent.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
    // ISIG off: Ctrl-C arrives as a byte, so that the echo always comes back on.
    silent.c_lflag &= ~(tcflag_t)ISIG;
    if (tcsetattr(terminal, TCSAFLUSH, &silent) < 0) return -1;
    size_t length = 0;
    ssize_t result = 0;
    char byte;
    while ((result = read(terminal, &byte, 1)) == 1 && byte != '\n' && byte != '\r') {
        if (byte == 3 || length + 1 >= capacity) {
            result = -1;
            errno = byte == 3 ? EINTR : EMSGSIZE;
            break;
        }
        line[length++] = byte;
    }
    tcsetattr(terminal, TCSAFLUSH, &before);
    return result < 0 ? -1 : (ssize_t)length;
}

void postern_forbid_core_dumps(void) {
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
}

void postern_raise_file_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}
