/* SPDX-License-Identifier: Apache-2.0 */
/* The main of a harness without libFuzzer: replays the files it is given, then runs mutations of
 * them.
 *
 *     fuzz_NAME [-n MUTATIONS] [-first NUMBER] [-keep FOLDER] FILE-OR-FOLDER...
 *
 * Mutation NUMBER depends on the number and the files alone. They run in a child; one that kills it
 * is told by its number, written to -keep where that is given, and the next one goes on in a new
 * child. An input that takes more than a minute counts as a hang.
 */
#define _GNU_SOURCE /* MAP_ANONYMOUS, scandir */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz/fuzz.h"

enum { MOST_SEEDS = 4096, HANG_SECONDS = 60, MOST_FAULTS = 50 };

typedef struct seed {
    char *path;
    uint8_t *data;
    size_t n;
} seed;

/* What child and parent share. */
typedef struct progress {
    uint64_t number;     /* of the run under way: files, then mutations */
    uint64_t structural; /* mutations that fell into structure alone */
} progress;

static seed seeds[MOST_SEEDS];
static size_t n_seeds;

static void add_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    seed s = {.path = strdup(path), .data = malloc(SQZT_INPUT_BYTES)};
    if (!file || !s.path || !s.data || n_seeds == MOST_SEEDS) {
        fprintf(stderr, "cannot read %s\n", path);
        exit(2);
    }
    s.n = fread(s.data, 1, SQZT_INPUT_BYTES, file);
    fclose(file);
    seeds[n_seeds++] = s;
}

static void add(const char *path)
{
    struct dirent **entries;
    struct stat facts;
    if (stat(path, &facts) != 0 || !S_ISDIR(facts.st_mode)) {
        add_file(path);
        return;
    }
    /* sorted: the numbering must not depend on the file system */
    const int n = scandir(path, &entries, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        char full[1024];
        snprintf(full, sizeof full, "%s/%s", path, entries[i]->d_name);
        if (stat(full, &facts) == 0 && S_ISREG(facts.st_mode)) add_file(full);
        free(entries[i]);
    }
    if (n >= 0) free(entries);
}

static size_t make(uint64_t number, uint8_t *data, bool *structural)
{
    *structural = false;
    if (number < n_seeds) {
        memcpy(data, seeds[number].data, seeds[number].n);
        return seeds[number].n;
    }
    sqzt_random random = sqzt_random_of(number - n_seeds);
    const seed *from = &seeds[sqzt_below(&random, n_seeds)],
               *other = &seeds[sqzt_below(&random, n_seeds)];
    memcpy(data, from->data, from->n);
    return sqzt_mutate(&random, &sqzt_fuzz_format_of_harness, data, from->n, other->data, other->n,
                       structural);
}

static void run(progress *shared, uint64_t end)
{
    uint8_t *buffer = malloc(SQZT_INPUT_BYTES);
    for (; buffer && shared->number < end; shared->number++) {
        bool structural;
        const size_t n = make(shared->number, buffer, &structural);
        shared->structural += structural;
        uint8_t *exact = malloc(n ? n : 1); /* so that a sanitizer sees a step over the end */
        if (!exact) abort();
        memcpy(exact, buffer, n);
        alarm(HANG_SECONDS);
        (void)LLVMFuzzerTestOneInput(exact, n);
        free(exact);
    }
    alarm(0);
    free(buffer);
}

static void report(uint64_t number, int how, const char *keep)
{
    uint8_t *data = malloc(SQZT_INPUT_BYTES);
    bool unused;
    if (!data) return;
    const size_t n = make(number, data, &unused);
    if (number < n_seeds) fprintf(stderr, "FAILED: %s (status %d)\n", seeds[number].path, how);
    else
        fprintf(stderr, "FAILED: mutation %llu, %zu bytes (status %d)\n",
                (unsigned long long)(number - n_seeds), n, how);
    if (keep) {
        char path[1024];
        snprintf(path, sizeof path, "%s/fault-%llu", keep, (unsigned long long)number);
        FILE *file = fopen(path, "wb");
        if (file) {
            fwrite(data, 1, n, file);
            fclose(file);
        }
    }
    free(data);
}

/* Children one after the other until all inputs are done; returns the number of faults. */
static unsigned run_all(progress *shared, uint64_t end, const char *keep)
{
    unsigned faults = 0;
    while (faults < MOST_FAULTS) {
        fflush(NULL);
        const pid_t child = fork();
        if (child < 0) abort();
        if (child == 0) {
            run(shared, end);
            exit(0); /* and the leak checker has its say */
        }
        int how = 0;
        while (waitpid(child, &how, 0) < 0) continue;
        if (how == 0) return faults;
        faults++;
        if (shared->number >= end) {
            fprintf(stderr, "FAILED: at the end, a leak? (status %d)\n", how);
            return faults;
        }
        report(shared->number++, how, keep);
    }
    return faults;
}

int main(int argc, char **argv)
{
    uint64_t mutations = 0, first = 0;
    const char *keep = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-n") == 0 && i + 1 < argc) mutations = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "-first") == 0 && i + 1 < argc)
            first = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "-keep") == 0 && i + 1 < argc) keep = argv[++i];
        else add(argv[i]);
    }
    if (!n_seeds) {
        fprintf(stderr,
                "usage: %s [-n MUTATIONS] [-first NUMBER] [-keep FOLDER] FILE-OR-FOLDER...\n",
                argv[0]);
        return 2;
    }
    (void)sqzt_fuzz_path(""); /* made here, so that it is removed here */
    progress *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) return 2;
    shared->number = first ? n_seeds + first : 0;
    const unsigned faults = run_all(shared, n_seeds + first + mutations, keep);
    printf("%zu files and %llu mutations (%llu in structure alone): %u faults\n", n_seeds,
           (unsigned long long)mutations, (unsigned long long)shared->structural, faults);
    for (size_t i = 0; i < n_seeds; i++) {
        free(seeds[i].path);
        free(seeds[i].data);
    }
    return faults ? 1 : 0;
}
