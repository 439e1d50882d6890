/* SPDX-License-Identifier: Apache-2.0 */
/* Classification by several threads: one model, shared and never written to, and a task a thread.
 * How a server answers many short texts at once (doc/threads.md).
 *
 *   classify_threads MODEL THREADS < LINES
 *
 * Prints `label score text` for every line, in the order of the lines. */
#define _POSIX_C_SOURCE 200809L /* getline */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <squeezebert/task.h>

enum { MOST_THREADS = 64, PORTION = 8 };

/* Lines, and what came of them. Threads take portions by `next` and write into their own rows. */
static struct {
    sqz_model *model;
    char **lines;
    uint32_t *labels;
    float *scores;
    size_t n;
    atomic_size_t next;
    atomic_int failed;
} work;

static int answer(sqz_task *task, size_t begin, size_t end, sqz_error *error)
{
    sqz_input inputs[PORTION];
    sqz_classification results[PORTION];
    const uint32_t n = (uint32_t)(end - begin);
    for (uint32_t i = 0; i < n; i++)
        inputs[i] = (sqz_input){.text = {work.lines[begin + i], strlen(work.lines[begin + i])}};
    if (sqz_classify(task, inputs, n, 0, results, error)) return 1;
    for (uint32_t i = 0; i < n; i++) {
        if (results[i].outcome.status) { /* a fault of this text alone */
            snprintf(error->text, sizeof error->text, "line %zu: %s", begin + i + 1,
                     results[i].outcome.text);
            return 1;
        }
        work.labels[begin + i] = results[i].label;
        work.scores[begin + i] = results[i].score;
    }
    return 0;
}

static void *run_thread(void *unused)
{
    (void)unused;
    sqz_error error = {0};
    sqz_task *task = NULL;
    int failed = sqz_task_open(work.model, NULL, &task, &error) != SQZ_OK;
    while (!failed) {
        const size_t begin = atomic_fetch_add(&work.next, PORTION);
        if (begin >= work.n) break;
        failed = answer(task, begin, begin + PORTION < work.n ? begin + PORTION : work.n, &error);
    }
    if (failed) {
        fprintf(stderr, "classify_threads: %s\n", error.text);
        atomic_store(&work.failed, 1);
    }
    sqz_task_close(task);
    return NULL;
}

static int read_lines(void)
{
    char *line = NULL;
    size_t room = 0;
    for (ssize_t n; (n = getline(&line, &room, stdin)) > 0;) {
        if (line[n - 1] == '\n') line[n - 1] = '\0';
        char **more = realloc(work.lines, (work.n + 1) * sizeof *more);
        if (!more) return 1;
        work.lines = more;
        if (!(work.lines[work.n] = strdup(line))) return 1;
        work.n++;
    }
    free(line);
    work.labels = calloc(work.n + 1, sizeof *work.labels);
    work.scores = calloc(work.n + 1, sizeof *work.scores);
    return !work.labels || !work.scores;
}

static void run_threads(int n)
{
    pthread_t threads[MOST_THREADS];
    int started = 0;
    while (started < n && pthread_create(&threads[started], NULL, run_thread, NULL) == 0) started++;
    if (started == 0) run_thread(NULL);
    for (int i = 0; i < started; i++) pthread_join(threads[i], NULL);
}

int main(int n, char **arguments)
{
    const int threads = n == 3 ? atoi(arguments[2]) : 0;
    if (threads < 1 || threads > MOST_THREADS) {
        fputs("usage: classify_threads MODEL THREADS (1 to 64) < LINES\n", stderr);
        return 2;
    }
    sqz_error error = {0};
    sqz_context *context = NULL;
    /* every run in its caller's thread: the threads are this program's own */
    const sqz_context_options options = {.n_threads = 1};
    int failed = sqz_context_open(&options, &context, &error) ||
                 sqz_model_open(context, arguments[1], &work.model, &error);
    if (failed) fprintf(stderr, "classify_threads: %s\n", error.text);
    else if ((failed = read_lines()) == 0) run_threads(threads);
    else fputs("classify_threads: no memory for the lines\n", stderr);
    failed |= atomic_load(&work.failed);
    for (size_t i = 0; i < work.n; i++) {
        if (!failed)
            printf("%s %.4f %s\n", sqz_model_label(work.model, work.labels[i]),
                   (double)work.scores[i], work.lines[i]);
        free(work.lines[i]);
    }
    free(work.lines);
    free(work.labels);
    free(work.scores);
    sqz_model_close(work.model);
    sqz_context_close(context);
    return failed;
}
