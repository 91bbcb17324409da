#define _GNU_SOURCE
#include "cplatform.h"

#include <linux/sched.h>
#include <linux/sched/types.h>
#include <sys/syscall.h>
#include <unistd.h>

int postern_ask_for_short_turns(uint64_t nanoseconds) {
    struct sched_attr attributes;
    if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) < 0) return -1;
    // Real-time policies know no turns, or mean something else by a runtime.
    if (attributes.sched_policy != SCHED_NORMAL && attributes.sched_policy != SCHED_BATCH) return 0;
    attributes.sched_runtime = nanoseconds;
    // Threads and programs that are started from here get the usual turns.
    attributes.sched_flags = SCHED_FLAG_RESET_ON_FORK;
    return (int)syscall(SYS_sched_setattr, 0, &attributes, 0);
}
