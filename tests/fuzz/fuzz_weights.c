/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/fuzz_weights.h"

#include <string.h>

#include "import/source_tensors.h"

static unsigned sum;

/* The last number of each tensor is the furthest that a reader goes. */
static void touch(const sqzi_source *source, const sqzi_source_tensor *t)
{
    uint64_t last = t->n ? t->n - 1 : 0;
    const uint64_t bytes = t->type == SQZI_F64   ? 8
                           : t->type == SQZI_F32 ? 4
                           : t->type == SQZI_I32 ? 1
                                                 : 2;
    if (t->n_dims > 4) sqzt_fuzz_breach("a tensor of more than four dimensions");
    if (t->strided) {
        last = 0;
        for (uint32_t d = 0; d < t->n_dims; d++)
            last += t->shape[d] ? (t->shape[d] - 1) * t->stride[d] : 0;
    }
    for (const char *c = t->name; *c; c++) sum += (unsigned char)*c;
    if (sqzi_source_find(source, t->name) != t)
        sqzt_fuzz_breach("a tensor that is not found by its name");
    if (!t->n || t->unread) return;
    sum += t->data[0];
    for (uint64_t i = 0; i < bytes; i++) sum += t->data[last * bytes + i];
}

void sqzt_fuzz_weights(const char *name, const uint8_t *data, size_t n)
{
    sqz_error error = {0};
    sqzi_source source;
    sqzt_fuzz_write(name, data, n);
    const sqz_allocator allocator = sqzt_allocator(&sqzt_fuzz_memory);
    sqzt_fuzz_begin(n);
    const sqz_status status = sqzi_source_open(&allocator, sqzt_fuzz_path(""), NULL, &source,
                                               &error);
    if (status == SQZ_OK)
        for (uint32_t i = 0; i < sqzi_source_n(&source); i++)
            touch(&source, sqzi_source_at(&source, i));
    else if (!strstr(error.text, name)) sqzt_fuzz_breach("an error that does not name the file");
    sqzi_source_close(&source);
    sqzt_fuzz_end();
}
