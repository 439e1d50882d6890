/* SPDX-License-Identifier: Apache-2.0 */
/* Files and memory of the harnesses. */
#define _GNU_SOURCE /* mkdtemp, nftw */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz/fuzz.h"

enum { LEAST_BYTES = 64000000, FACTOR = 16, PATH_BYTES = 512 };

sqzt_memory sqzt_fuzz_memory;
static uint64_t held_before;
static char folder[PATH_BYTES - 128];
static pid_t owner;

void sqzt_fuzz_breach(const char *what)
{
    fprintf(stderr, "breach: %s\n", what);
    abort();
}

static int remove_one(const char *path, const struct stat *facts, int type, struct FTW *walk)
{
    (void)facts;
    (void)type;
    (void)walk;
    return remove(path);
}

static void remove_folder(void)
{
    if (getpid() == owner) (void)nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

const char *sqzt_fuzz_path(const char *name)
{
    static char paths[4][PATH_BYTES];
    static unsigned turn;
    if (!folder[0]) {
        const char *base = getenv("TMPDIR");
        snprintf(folder, sizeof folder, "%.300s/sqz-fuzz-XXXXXX", base ? base : "/tmp");
        if (!mkdtemp(folder)) sqzt_fuzz_breach("cannot make a folder");
        owner = getpid();
        atexit(remove_folder);
    }
    char *path = paths[turn++ % 4];
    snprintf(path, PATH_BYTES, "%s/%.100s", folder, name);
    return path;
}

void sqzt_fuzz_write(const char *name, const void *data, size_t n)
{
    FILE *file = fopen(sqzt_fuzz_path(name), "wb");
    if (!file || (n && fwrite(data, n, 1, file) != 1) || fclose(file) != 0)
        sqzt_fuzz_breach("cannot write a file");
}

void sqzt_fuzz_remove(const char *name)
{
    (void)remove(sqzt_fuzz_path(name));
}

sqz_context *sqzt_fuzz_context(void)
{
    static sqz_context *context;
    if (context) return context;
    const sqz_allocator allocator = sqzt_allocator(&sqzt_fuzz_memory);
    sqz_error error = {0};
    if (sqz_context_open(
            &(sqz_context_options){.allocator = &allocator, .n_threads = 1, .cpu = "portable"},
            &context, &error) != SQZ_OK)
        sqzt_fuzz_breach(error.text);
    return context;
}

void sqzt_fuzz_begin(size_t input_bytes)
{
    static bool counting;
    if (!counting) sqzt_count_json(&sqzt_fuzz_memory);
    counting = true;
    (void)sqzt_fuzz_context();
    held_before = sqzt_fuzz_memory.held_bytes;
    sqzt_fuzz_memory.most_bytes = held_before;
    sqzt_fuzz_memory.limit_bytes = held_before + FACTOR * (uint64_t)input_bytes + LEAST_BYTES;
    sqzt_fuzz_memory.refused = 0;
}

void sqzt_fuzz_end(void)
{
    if (sqzt_fuzz_memory.refused)
        sqzt_fuzz_breach("more memory asked for than 16 times the input and 64 MB");
    if (sqzt_fuzz_memory.held_bytes != held_before)
        sqzt_fuzz_breach("memory is still held after the input");
}
