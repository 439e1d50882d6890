/* SPDX-License-Identifier: Apache-2.0 */
/* The array of NumPy's format 1.0: a head of 128 bytes, so that it can be written again with the
 * number of rows, then rows in the order of the machine, which is little endian
 * (cmake/compiler.cmake). */
#define _DEFAULT_SOURCE /* mkstemp */
#include "npy_rows.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HEAD_BYTES = 128, COPY_BYTES = 1 << 16 };

static struct {
    cli_output *output;
    FILE *spool; /* NULL: the output can go back itself */
    const char *name, *parent;
    uint32_t columns;
    uint64_t n_rows;
} array;

static _Noreturn void spool_failed(void)
{
    const int reason = errno;
    cli_die(cli_code(sqz_status_of_errno(reason, 1)),
            "the rows wait in a file under %s until their number is known: %s; TMPDIR names "
            "another place",
            array.parent, strerror(reason));
}

static void close_spool(void)
{
    if (array.spool) fclose(array.spool);
    array.spool = NULL;
}

static void open_spool(void)
{
    char path[4096];
    const char *parent = getenv("TMPDIR");
    array.parent = parent && *parent ? parent : "/tmp";
    snprintf(path, sizeof path, "%s/squeezebert.XXXXXX", array.parent);
    const int descriptor = mkstemp(path);
    if (descriptor < 0 || unlink(path) != 0 || !(array.spool = fdopen(descriptor, "w+b")))
        spool_failed();
    cli_at_end(close_spool);
}

static void put_head(FILE *stream)
{
    char head[HEAD_BYTES], text[HEAD_BYTES - 10];
    const int n = snprintf(text, sizeof text,
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (%llu, %u), }",
                           (unsigned long long)array.n_rows, array.columns);
    memset(head, ' ', sizeof head);
    memcpy(head, "\x93NUMPY\x01\x00\x76\x00", 10);
    memcpy(head + 10, text, (size_t)n);
    head[HEAD_BYTES - 1] = '\n';
    fwrite(head, 1, sizeof head, stream);
}

bool cli_npy_open(const char *name, uint32_t columns)
{
    array.output = cli_open_output(name);
    array.name = name;
    array.columns = columns;
    array.n_rows = 0;
    if (!cli_output_is_file(array.output)) open_spool();
    else put_head(cli_output_stream(array.output));
    return !array.spool;
}

void cli_npy_put(const float *row)
{
    FILE *stream = array.spool ? array.spool : cli_output_stream(array.output);
    const float nothing = NAN;
    const uint32_t step = row ? array.columns : 1; /* one NaN at a time */
    size_t n = 0;
    for (uint32_t c = 0; c < array.columns; c += step)
        n += fwrite(row ? row : &nothing, sizeof nothing, step, stream);
    if (array.spool && n != array.columns) spool_failed();
    array.n_rows++;
}

void cli_npy_flush(void)
{
    if (!array.spool) cli_flush(array.output);
    else if (fflush(array.spool) != 0) spool_failed();
}

static void copy_spool(void)
{
    char *bytes = cli_allocate(NULL, COPY_BYTES);
    rewind(array.spool);
    for (size_t n; (n = fread(bytes, 1, COPY_BYTES, array.spool)) > 0;) {
        fwrite(bytes, 1, n, cli_output_stream(array.output));
        cli_flush(array.output); /* a reader that is gone is seen at once */
    }
    if (ferror(array.spool)) spool_failed();
    free(bytes);
    close_spool();
}

void cli_npy_close(void)
{
    cli_npy_flush();
    FILE *stream = cli_output_stream(array.output);
    if (!array.spool && fseek(stream, 0, SEEK_SET) != 0)
        cli_die(CLI_FAILED, "%s: cannot go back to the head of the array: %s", array.name,
                strerror(errno));
    put_head(stream);
    if (array.spool) copy_spool();
    cli_commit_output(array.output);
}
