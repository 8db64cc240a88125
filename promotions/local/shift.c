/* Shifts the wall clock of a process by CLOCK_OFFSET_S seconds. Preloaded; see shift.py.

   The readings go straight to the kernel: they allocate nothing, take no lock and may be made from a signal handler, as
   PostgreSQL's timeouts are, or by an allocator that starts, as jemalloc does in Redis. The monotonic clock stays. */

#define _GNU_SOURCE
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long offset_s;

__attribute__((constructor)) static void read_offset(void)
{
	const char *text = getenv("CLOCK_OFFSET_S");
	if (text)
		offset_s = atol(text);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
	int failed = syscall(SYS_clock_gettime, clock, now);
	if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		now->tv_sec += offset_s;
	return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	struct timespec read;
	(void)zone;
	clock_gettime(CLOCK_REALTIME, &read);
	now->tv_sec = read.tv_sec;
	now->tv_usec = read.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *now)
{
	struct timespec read;
	clock_gettime(CLOCK_REALTIME, &read);
	if (now)
		*now = read.tv_sec;
	return read.tv_sec;
}

int timespec_get(struct timespec *now, int base)
{
	if (base != TIME_UTC)
		return 0;
	clock_gettime(CLOCK_REALTIME, now);
	return base;
}

/* Waits until a moment of the shifted clock. A moment of the monotonic clock is a small number: time since boot. */

static clockid_t unshift(struct timespec *until)
{
	if (until->tv_sec < 1000000000)
		return CLOCK_MONOTONIC;
	until->tv_sec -= offset_s;
	return CLOCK_REALTIME;
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict shifted)
{
	struct timespec until = *shifted;
	clockid_t clock = unshift(&until);
	return sem_clockwait(semaphore, clock, &until);
}

int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
			   const struct timespec *restrict shifted)
{
	struct timespec until = *shifted;
	clockid_t clock = unshift(&until);
	return pthread_cond_clockwait(condition, mutex, clock, &until);
}

int pthread_mutex_timedlock(pthread_mutex_t *restrict mutex, const struct timespec *restrict shifted)
{
	struct timespec until = *shifted;
	clockid_t clock = unshift(&until);
	return pthread_mutex_clocklock(mutex, clock, &until);
}
