/* SPDX-License-Identifier: Apache-2.0 */
/* Data sets of texts in memory, read a few bytes a call, so that records are met in parts. */
#ifndef SQZT_DATASET_TEXT_H
#define SQZT_DATASET_TEXT_H

#include <squeezebert/dataset.h>
#include <string.h>

#include "model/context.h"
#include "support/bytes_source.h"
#include "support/test.h"

static sqz_context context;

static inline int set_allocator(void **state)
{
    (void)state;
    context.allocator = sqzi_default_allocator;
    return 0;
}

static inline ptrdiff_t read_few(void *user, void *bytes, size_t n)
{
    return sqzt_read_bytes(user, bytes, n < 7 ? n : 7);
}

static inline sqz_status open_text(const char *text, sqz_dataset_options options,
                                   sqz_dataset **dataset, sqz_error *error)
{
    sqzt_bytes bytes = {text, strlen(text), 0};
    const sqz_rows_source source = {.name = "rows", .read = read_few, .user = &bytes};
    if (options.format == SQZ_DATA_AUTO) options.format = SQZ_DATA_CSV;
    return sqz_dataset_open_source(&context, &source, &options, dataset, error);
}

static inline sqz_dataset *opened(const char *text, sqz_dataset_options options)
{
    sqz_dataset *dataset;
    sqz_error error = {0};
    sqzt_assert_ok(open_text(text, options, &dataset, &error), &error);
    return dataset;
}

static inline void refused(const char *text, sqz_dataset_options options, sqz_status status,
                           const char *part)
{
    sqz_dataset *dataset;
    sqz_error error = {0};
    sqzt_assert_fails(open_text(text, options, &dataset, &error), status, &error, part);
    assert_null(dataset);
}

#define OPTIONS(...) ((sqz_dataset_options){__VA_ARGS__})

static inline void assert_text(sqz_text text, const char *expected)
{
    assert_int_equal(text.n_bytes, strlen(expected));
    assert_memory_equal(text.bytes, expected, text.n_bytes);
}

static inline void assert_classes(const sqz_dataset *dataset, const char *const *names)
{
    uint32_t k = 0;
    for (; names[k]; k++) assert_string_equal(sqz_dataset_class(dataset, k), names[k]);
    assert_int_equal(sqz_dataset_n_classes(dataset), k);
    assert_null(sqz_dataset_class(dataset, k));
}

#endif
