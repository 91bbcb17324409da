// The few lines of C that Swift cannot say: forkpty, what must be async-signal-safe, and calls that glibc does not have.
#pragma once

#include <stdint.h>
#include <sys/types.h>

/// Starts a program on a new pseudo-terminal and returns the master's descriptor (close-on-exec), or -1 with errno set.
/// `argv` and `envp` end with NULL. The child gets default signal dispositions, an empty signal mask and no other descriptor.
/// If the program cannot be started, the child prints why on its terminal and exits with status 127.
int postern_spawn_on_pty(char *const argv[], char *const envp[], unsigned short rows, unsigned short columns,
                         pid_t *child);

/// Sets a terminal's size; its foreground processes get SIGWINCH. 0, or -1 with errno set.
int postern_set_window_size(int terminal, unsigned short rows, unsigned short columns);

/// Reads a terminal's size. 0, or -1 with errno set (not a terminal).
int postern_get_window_size(int terminal, unsigned short *rows, unsigned short *columns);

/// Puts a terminal into raw mode and arranges that it comes back on every way out: exit, a fatal signal, a crash, and a
/// SIGKILL (a small guardian process waits on a pipe that the kernel closes with us, and then restores the terminal).
/// 0, or -1 with errno set. One terminal per process.
int postern_enter_raw_mode(int terminal);

/// Restores the terminal's line discipline, as postern_enter_raw_mode found it. Async-signal-safe; twice does nothing.
/// (After a signal or a crash the screen's modes are reset as well: who leaves in order does that before, and knows which.)
void postern_leave_raw_mode(void);

/// Reads a line from a terminal without echo, for a secret. Returns its length, or -1 with errno set.
ssize_t postern_read_secret(int terminal, char *line, size_t capacity);

/// True if a descriptor is a terminal.
int postern_is_terminal(int descriptor);

/// Raises the limit of open files to what the system allows this process: a connection is a descriptor.
void postern_raise_file_limit(void);

/// Removes the core-dump limit, so that a crash leaves no file with keys in it.
void postern_forbid_core_dumps(void);

/// Gives back the pages of this program's own code that only the start needed: they are the file's, unchanged, and come back
/// when they are called again.
void postern_forget_startup_code(void);

/// Gives freed memory that the allocator keeps back to the system. Takes its locks while it looks, some milliseconds for 100 MiB.
void postern_return_memory(void);

/// Asks the kernel to run this thread, and none that it starts, in turns of so many nanoseconds (100,000 to 100,000,000; 0.7
/// to 3 million by default): it comes on sooner after it has woken up while others keep every core busy, and goes off sooner.
/// Needs no privilege. 0, or -1 with errno set; kernels before Linux 6.12 say 0, and the turns stay as they are.
int postern_ask_for_short_turns(uint64_t nanoseconds);
