/*
 * thread.h - threads of the program that leave signals to others: all are blocked in them, for the main thread, which looks for them.
 */
#ifndef RF_THREAD_H
#define RF_THREAD_H
#include <pthread.h>

/* Runs fn(arg). `name` is what tools show, up to 15 bytes; NULL: the program's. 0, or an errno. */
int thread_start(pthread_t *thread, void *(*fn)(void *arg), void *arg, const char *name);
#endif
