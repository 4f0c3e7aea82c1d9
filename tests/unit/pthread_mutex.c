/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * glib's GMutex and GCond on top of pthreads, for builds with ThreadSanitizer.
 *
 * glib implements them by futexes, in a library that is not instrumented: ThreadSanitizer does not
 * see who holds a GMutex, and would report everything that one guards. It knows pthreads. An
 * executable's own functions come before those of shared libraries, so a program that is linked
 * with this file locks through it, and no suppression is needed.
 *
 * A zeroed GMutex or GCond is initialised by its first use, as in glib.
 */
#include <errno.h>
#include <glib.h>
#include <pthread.h>

static pthread_mutex_t *mutex_of(GMutex *mutex)
{
    pthread_mutex_t *own = g_atomic_pointer_get(&mutex->p);

    if (own)
        return own;
    own = g_new(pthread_mutex_t, 1);
    pthread_mutex_init(own, NULL);
    if (g_atomic_pointer_compare_and_exchange(&mutex->p, NULL, own))
        return own;
    pthread_mutex_destroy(own);
    g_free(own);
    return g_atomic_pointer_get(&mutex->p);
}

static pthread_cond_t *cond_of(GCond *cond)
{
    pthread_cond_t *own = g_atomic_pointer_get(&cond->p);
    pthread_condattr_t attr;

    if (own)
        return own;
    own = g_new(pthread_cond_t, 1);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(own, &attr);
    pthread_condattr_destroy(&attr);
    if (g_atomic_pointer_compare_and_exchange(&cond->p, NULL, own))
        return own;
    pthread_cond_destroy(own);
    g_free(own);
    return g_atomic_pointer_get(&cond->p);
}

void g_mutex_init(GMutex *mutex)
{
    mutex->p = NULL;
}

void g_mutex_clear(GMutex *mutex)
{
    if (mutex->p)
        pthread_mutex_destroy(mutex->p);
    g_free(mutex->p);
}

void g_mutex_lock(GMutex *mutex)
{
    pthread_mutex_lock(mutex_of(mutex));
}

gboolean g_mutex_trylock(GMutex *mutex)
{
    return pthread_mutex_trylock(mutex_of(mutex)) == 0;
}

void g_mutex_unlock(GMutex *mutex)
{
    pthread_mutex_unlock(mutex_of(mutex));
}

void g_cond_init(GCond *cond)
{
    cond->p = NULL;
}

void g_cond_clear(GCond *cond)
{
    if (cond->p)
        pthread_cond_destroy(cond->p);
    g_free(cond->p);
}

void g_cond_wait(GCond *cond, GMutex *mutex)
{
    pthread_cond_wait(cond_of(cond), mutex_of(mutex));
}

gboolean g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end_time)
{
    const struct timespec until = {.tv_sec = end_time / G_USEC_PER_SEC,
                                   .tv_nsec = end_time % G_USEC_PER_SEC * 1000};

    return pthread_cond_timedwait(cond_of(cond), mutex_of(mutex), &until) != ETIMEDOUT;
}

void g_cond_signal(GCond *cond)
{
    pthread_cond_signal(cond_of(cond));
}

void g_cond_broadcast(GCond *cond)
{
    pthread_cond_broadcast(cond_of(cond));
}
