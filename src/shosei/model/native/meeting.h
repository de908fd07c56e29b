// Where the threads of a step wait for each other between its phases.
#pragma once
#include <immintrin.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef struct {
    atomic_int arrived, round, asleep;
} Meeting;

// Some 50 µs. A thread whose fellow has lost its core then sleeps: in a loop it would use up its own share of the
// processor, and keep its core from whoever the fellow waits for.
enum { GLANCES = 2000 };

static inline void meet(Meeting *m, int64_t threads) {
    const int round = atomic_load(&m->round);
    if (atomic_fetch_add(&m->arrived, 1) == threads - 1) {
        atomic_store(&m->arrived, 0);
        atomic_fetch_add(&m->round, 1);
        if (atomic_load(&m->asleep)) syscall(SYS_futex, &m->round, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
        return;
    }
    for (int i = 0; i < GLANCES && atomic_load_explicit(&m->round, memory_order_acquire) == round; i++) _mm_pause();
    atomic_fetch_add(&m->asleep, 1);
    while (atomic_load(&m->round) == round) syscall(SYS_futex, &m->round, FUTEX_WAIT_PRIVATE, round, NULL, NULL, 0);
    atomic_fetch_sub(&m->asleep, 1);
}
