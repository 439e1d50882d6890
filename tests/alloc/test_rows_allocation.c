/* SPDX-License-Identifier: Apache-2.0 */
/* The reader of rows while memory fails: SQZ_ENOMEM from the opening or the row it happens at, and
 * nothing is held. Rows are long and many enough to make every buffer grow. */
#include <squeezebert/data.h>
#include <stdlib.h>

#include "support/allocation_sweep.h"
#include "support/test.h"

typedef struct tape {
    const char *bytes;
    size_t n, at;
} tape;

static ptrdiff_t read_tape(void *user, void *bytes, size_t n)
{
    tape *t = user;
    const size_t rest = t->n - t->at, got = rest < n ? rest : n;
    memcpy(bytes, t->bytes + t->at, got);
    t->at += got;
    return (ptrdiff_t)got;
}

static sqz_rows_options options;
static char *input;
static size_t input_bytes, rows_read;

static sqz_status read_all(const sqzt_subject *s, sqz_error *error)
{
    tape t = {input, input_bytes, 0};
    const sqz_rows_source source = {.name = "tape", .read = read_tape, .user = &t};
    sqz_rows *rows;
    const sqz_row *row;
    uint32_t n = 0;
    options.allocator = &s->allocator;
    rows_read = 0;
    sqz_status status = sqz_rows_open(&source, &options, &rows, error);
    if (status != SQZ_OK) return status;
    do {
        status = sqz_rows_next(rows, &row, &n, error);
        rows_read += n;
    } while (status == SQZ_OK && n);
    sqz_rows_close(rows);
    return status;
}

/* `head`, then rows of `cells` times `cell` and an end, some of which are at fault. */
static void make_input(const char *head, const char *cell, const char *end, uint32_t cells)
{
    enum { ROWS = 600, BYTES = 1 << 22 };
    input = malloc(BYTES);
    assert_non_null(input);
    char *at = input + strlen(strcpy(input, head));
    for (uint32_t r = 0; r < ROWS; r++) {
        for (uint32_t c = 0; c < cells + (r % 100 == 99); c++) at += strlen(strcpy(at, cell));
        at += strlen(strcpy(at, end));
    }
    input_bytes = (size_t)(at - input);
    assert_true(input_bytes < BYTES);
}

static void sweep(const char *name, sqz_rows_options how)
{
    sqzt_subject s = sqzt_sweep_begin();
    options = how;
    assert_true(sqzt_sweep(name, read_all, &s) >= 6);
    assert_int_equal(rows_read, 600);
    sqzt_sweep_end(&s);
    free(input);
}

static void tables_leave_nothing(void **state)
{
    (void)state;
    make_input("text,a,b,c\n", "\"x \"\"y\"\"\",", "z\n", 3);
    sweep("csv", (sqz_rows_options){.format = SQZ_ROWS_CSV, .text = "text"});
    make_input("text\ta\tb\tc\n", "\"x\"\t", "z\n", 3);
    sweep("tsv", (sqz_rows_options){.format = SQZ_ROWS_TSV, .text = "text", .text2 = "b"});
}

static void objects_leave_nothing(void **state)
{
    (void)state;
    make_input("", "{\"t\\u0065xt\":\"a\",\"n\":[1,{}]", "}\n", 1);
    sweep("jsonl", (sqz_rows_options){.format = SQZ_ROWS_JSONL, .text = "text"});
}

static void lines_leave_nothing(void **state)
{
    (void)state;
    make_input("", "a long line of a thousand and some bytes, so that the buffer grows, ", "\n",
               40);
    sweep("lines", (sqz_rows_options){.pair = 1});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_leave_nothing),
        cmocka_unit_test(objects_leave_nothing),
        cmocka_unit_test(lines_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
