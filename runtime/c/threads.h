/*
 * A pool of threads for the loops of compiled models, over POSIX threads, for gcc and clang, in C11 or C++:
 *
 *   static ingot_threads pool;
 *   ingot_threads_start(&pool, 4);  (the calling thread and three more)
 *   ctx.parallel_for = ingot_threads_for;
 *   ctx.user = &pool;
 *   ... NAME_run(&ctx, &in, &out) ...
 *   ingot_threads_stop(&pool);
 *
 * Results have the same bits with any number of threads. A pool serves one run at a time: what another one asks of it meanwhile is done
 * by the thread that asks.
 */
#ifndef INGOT_THREADS_H
#define INGOT_THREADS_H

#include <pthread.h>
#include <stdint.h>

#define INGOT_THREADS_MAX 64
/* A loop is divided into so many chunks a thread: who is done early, or was never interrupted, takes another. */
#define INGOT_THREADS_CHUNKS 4
/* Who waits looks so many times, some tens of microseconds, before it sleeps. */
#define INGOT_THREADS_LOOKS 4000

#define INGOT_THREADS_FN static inline __attribute__((unused))

typedef struct ingot_threads {
  int32_t count; /* with the thread that runs the model */
  /* The loop at hand. It is complete, and stands, when a chunk of it can be taken. */
  void (*body)(void *arg, int32_t begin, int32_t end);
  void *arg;
  int32_t iterations;
  /* 32 bits that count the loops, 16 bits of chunks that this one has, 16 bits of chunks that are taken. */
  uint64_t state;
  uint32_t done; /* chunks of this loop */
  uint32_t helpers_asleep, caller_asleep, busy, stopped;
  pthread_mutex_t mutex;
  pthread_cond_t loop_came, loop_done;
  pthread_t helpers[INGOT_THREADS_MAX];
} ingot_threads;

#define INGOT_THREADS_GET(p) __atomic_load_n(p, __ATOMIC_SEQ_CST)
#define INGOT_THREADS_SET(p, x) __atomic_store_n(p, x, __ATOMIC_SEQ_CST)

INGOT_THREADS_FN void ingot_threads_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
  __asm__ volatile("yield");
#endif
}

INGOT_THREADS_FN void ingot_threads_signal(ingot_threads *p, pthread_cond_t *c) {
  pthread_mutex_lock(&p->mutex);
  pthread_cond_broadcast(c);
  pthread_mutex_unlock(&p->mutex);
}

/* Works on the loop at hand as long as there are chunks to take. */
INGOT_THREADS_FN void ingot_threads_work(ingot_threads *p) {
  for (;;) {
    uint64_t state = INGOT_THREADS_GET(&p->state);
    const int64_t chunks = (int64_t)(state >> 16 & 0xffff), n = (int64_t)(state & 0xffff);
    if (n >= chunks) return;
    void (*const body)(void *, int32_t, int32_t) = INGOT_THREADS_GET(&p->body);
    void *const arg = INGOT_THREADS_GET(&p->arg);
    const int64_t iterations = INGOT_THREADS_GET(&p->iterations);
    if (!__atomic_compare_exchange_n(&p->state, &state, state + 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) continue;
    body(arg, (int32_t)(iterations * n / chunks), (int32_t)(iterations * (n + 1) / chunks));
    if (__atomic_add_fetch(&p->done, 1, __ATOMIC_SEQ_CST) == chunks && INGOT_THREADS_GET(&p->caller_asleep))
      ingot_threads_signal(p, &p->loop_done);
  }
}

INGOT_THREADS_FN void *ingot_threads_help(void *pool) {
  ingot_threads *const p = (ingot_threads *)pool;
  uint32_t seen = 0;
  while (!INGOT_THREADS_GET(&p->stopped)) {
    for (int i = 0; i < INGOT_THREADS_LOOKS && INGOT_THREADS_GET(&p->state) >> 32 == seen; i++) ingot_threads_pause();
    if (INGOT_THREADS_GET(&p->state) >> 32 == seen) {
      pthread_mutex_lock(&p->mutex);
      __atomic_add_fetch(&p->helpers_asleep, 1, __ATOMIC_SEQ_CST);
      while (INGOT_THREADS_GET(&p->state) >> 32 == seen) pthread_cond_wait(&p->loop_came, &p->mutex);
      __atomic_sub_fetch(&p->helpers_asleep, 1, __ATOMIC_SEQ_CST);
      pthread_mutex_unlock(&p->mutex);
    }
    seen = (uint32_t)(INGOT_THREADS_GET(&p->state) >> 32);
    ingot_threads_work(p);
  }
  return NULL;
}

/* Lets helpers see a next loop, of so many chunks. */
INGOT_THREADS_FN void ingot_threads_announce(ingot_threads *p, uint64_t chunks) {
  INGOT_THREADS_SET(&p->state, ((INGOT_THREADS_GET(&p->state) >> 32) + 1) << 32 | chunks << 16);
  if (INGOT_THREADS_GET(&p->helpers_asleep) > 0) ingot_threads_signal(p, &p->loop_came);
}

/* Makes a pool of so many threads, the calling one among them. Returns how many there are: fewer where the system gives no more. */
INGOT_THREADS_FN int ingot_threads_start(ingot_threads *p, int threads) {
  p->state = 0;
  p->done = p->helpers_asleep = p->caller_asleep = p->busy = p->stopped = 0;
  pthread_mutex_init(&p->mutex, NULL);
  pthread_cond_init(&p->loop_came, NULL);
  pthread_cond_init(&p->loop_done, NULL);
  for (p->count = 1; p->count < threads && p->count < INGOT_THREADS_MAX; p->count++)
    if (pthread_create(&p->helpers[p->count], NULL, ingot_threads_help, p) != 0) break;
  return p->count;
}

/* The parallel_for of a ctx whose `user` is a pool. */
INGOT_THREADS_FN void ingot_threads_for(void *user, int32_t iterations, void (*body)(void *, int32_t, int32_t), void *arg) {
  ingot_threads *const p = (ingot_threads *)user;
  const int32_t most = p->count * INGOT_THREADS_CHUNKS;
  const uint32_t chunks = (uint32_t)(iterations < most ? iterations : most);
  if (p->count == 1 || __atomic_exchange_n(&p->busy, 1, __ATOMIC_SEQ_CST)) {
    body(arg, 0, iterations);
    return;
  }
  INGOT_THREADS_SET(&p->body, body);
  INGOT_THREADS_SET(&p->arg, arg);
  INGOT_THREADS_SET(&p->iterations, iterations);
  INGOT_THREADS_SET(&p->done, 0);
  ingot_threads_announce(p, chunks);
  ingot_threads_work(p);
  for (int i = 0; i < INGOT_THREADS_LOOKS && INGOT_THREADS_GET(&p->done) < chunks; i++) ingot_threads_pause();
  if (INGOT_THREADS_GET(&p->done) < chunks) {
    pthread_mutex_lock(&p->mutex);
    INGOT_THREADS_SET(&p->caller_asleep, 1);
    while (INGOT_THREADS_GET(&p->done) < chunks) pthread_cond_wait(&p->loop_done, &p->mutex);
    INGOT_THREADS_SET(&p->caller_asleep, 0);
    pthread_mutex_unlock(&p->mutex);
  }
  INGOT_THREADS_SET(&p->busy, 0);
}

/* Ends the threads of a pool that no run uses. */
INGOT_THREADS_FN void ingot_threads_stop(ingot_threads *p) {
  INGOT_THREADS_SET(&p->stopped, 1);
  ingot_threads_announce(p, 0);
  for (int32_t n = 1; n < p->count; n++) pthread_join(p->helpers[n], NULL);
  pthread_cond_destroy(&p->loop_done);
  pthread_cond_destroy(&p->loop_came);
  pthread_mutex_destroy(&p->mutex);
  p->count = 1;
}

#endif
