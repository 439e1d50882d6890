/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of stored matrices, whatever they are stored as. */
#include "io/stored_matrix.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/half.h"
#include "io/packed_rows.h"

enum { CENTROIDS = 256 }; /* of a part */

const sqzi_gguf_tensor *sqzi_stored_tensor(const sqzi_gguf *gguf, const char *name, uint32_t *bits)
{
    char full[SQZI_STORED_NAME];
    const sqzi_gguf_tensor *tensor = sqzi_gguf_find_tensor(gguf, name);
    *bits = 0;
    for (uint32_t b = 4; !tensor && b >= 2; b--) {
        snprintf(full, sizeof full, "%s.s%u", name, (unsigned)b);
        tensor = sqzi_gguf_find_tensor(gguf, full);
        if (tensor) *bits = b;
    }
    return tensor;
}

static sqzi_stored stored_codes(const sqzi_gguf *gguf, uint64_t columns)
{
    sqzi_stored stored = {.columns = columns,
                          .tensor = sqzi_gguf_find_tensor(gguf, "token_embd.codes")};
    if (!stored.tensor) return stored;
    stored.rows = stored.tensor->shape[0];
    stored.parts = (uint32_t)stored.tensor->shape[1];
    stored.centroids = sqzi_gguf_find_tensor(gguf, "token_embd.centroids")->data;
    stored.scale = sqzi_gguf_find_tensor(gguf, "token_embd.centroids.scale")->data;
    return stored;
}

sqzi_stored sqzi_stored_of(const sqzi_gguf *gguf, const char *name, uint64_t columns)
{
    char full[SQZI_STORED_NAME];
    sqzi_stored stored = {.columns = columns};
    stored.tensor = sqzi_stored_tensor(gguf, name, &stored.bits);
    if (!stored.tensor && strcmp(name, "token_embd.weight") == 0)
        return stored_codes(gguf, columns);
    if (!stored.tensor) return stored;
    stored.rows = stored.tensor->shape[0];
    snprintf(full, sizeof full, "%s.scale", name);
    if (stored.tensor->type == SQZI_S8) stored.scale = sqzi_gguf_find_tensor(gguf, full)->data;
    return stored;
}

sqz_status sqzi_stored_check(const sqzi_stored *stored, sqz_error *error)
{
    const sqzi_gguf_tensor *tensor = stored->tensor;
    const size_t n = (size_t)stored->columns;
    if (!tensor || !stored->bits) return SQZ_OK;
    const size_t bytes = sqzi_packed_row_bytes(stored->bits, n);
    for (size_t r = 0; r < stored->rows; r++) {
        const char *what;
        if (!sqzi_packed_row_check(stored->bits, n, (const uint8_t *)tensor->data + r * bytes,
                                   &what))
            return sqzi_fail(error, SQZ_EFORMAT, tensor->offset + r * bytes,
                             "row %zu of tensor '%.*s' holds %s: the multiplier of each group is 1 "
                             "to %u, bits that no number uses are 0",
                             r, (int)tensor->name.n, tensor->name.bytes, what,
                             (unsigned)sqzi_packed_most(stored->bits));
    }
    return SQZ_OK;
}

/* Numbers begin .. begin + n of a row, begin a multiple of 32 and n at most PIECE. */
enum { PIECE = 256 };

static void take_codes(const sqzi_stored *stored, uint64_t r, size_t begin, size_t n, double *out)
{
    const uint8_t *codes = (const uint8_t *)stored->tensor->data + r * stored->parts;
    const size_t d = (size_t)stored->columns / stored->parts;
    for (size_t i = 0; i < n; i++) {
        const size_t p = (begin + i) / d, c = p * CENTROIDS + codes[p];
        out[i] = (double)stored->scale[c] * stored->centroids[c * d + (begin + i) % d];
    }
}

static void take(const sqzi_stored *stored, uint64_t r, size_t begin, size_t n, double *out)
{
    const sqzi_gguf_tensor *t = stored->tensor;
    const size_t columns = (size_t)stored->columns, first = (size_t)r * columns + begin;
    int8_t expanded[PIECE];
    if (stored->parts) {
        take_codes(stored, r, begin, n, out);
        return;
    }
    if (t->type != SQZI_S8) {
        for (size_t i = 0; i < n; i++) out[i] = (double)sqzi_load_real(t->data, first + i, t->type);
        return;
    }
    const int8_t *numbers = (const int8_t *)t->data + first;
    if (stored->bits) {
        const size_t bytes = sqzi_packed_row_bytes(stored->bits, columns);
        sqzi_packed_expand(stored->bits, columns, (const uint8_t *)t->data + r * bytes, begin, n,
                           expanded);
        numbers = expanded;
    }
    for (size_t i = 0; i < n; i++) out[i] = (double)stored->scale[r] * numbers[i];
}

void sqzi_stored_row(const sqzi_stored *stored, uint64_t r, double *out)
{
    const size_t n = (size_t)stored->columns;
    for (size_t begin = 0; begin < n; begin += PIECE)
        take(stored, r, begin, n - begin < PIECE ? n - begin : PIECE, out + begin);
}

void sqzi_stored_row_f32(const sqzi_stored *stored, uint64_t r, float *out)
{
    const size_t n = (size_t)stored->columns;
    double piece[PIECE];
    for (size_t begin = 0; begin < n; begin += PIECE) {
        const size_t count = n - begin < PIECE ? n - begin : PIECE;
        take(stored, r, begin, count, piece);
        for (size_t i = 0; i < count; i++) out[begin + i] = (float)piece[i];
    }
}
