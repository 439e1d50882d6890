/* SPDX-License-Identifier: Apache-2.0 */
/* Loading tensors: names, types and shapes against the description; vectors and tables are used
 * where they lie. */
#include "model/loader.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/error.h"
#include "io/packed_rows.h"

const sqzi_gguf_tensor *sqzi_load_find(sqzi_loader *loader, const char *name)
{
    const sqzi_gguf_tensor *tensor = sqzi_gguf_find_tensor(loader->gguf, name);
    if (tensor) loader->used[tensor - sqzi_gguf_tensor_at(loader->gguf, 0)] = true;
    return tensor;
}

sqz_status sqzi_load_tensor(sqzi_loader *loader, const char *name, bool required, uint64_t rows,
                            uint64_t columns, const sqzi_gguf_tensor **out)
{
    const sqzi_gguf_tensor *tensor = sqzi_load_find(loader, name);
    const uint32_t n_dims = columns ? 2 : 1;
    *out = tensor;
    if (!tensor)
        return required ? sqzi_fail(loader->error, SQZ_EFORMAT, 0, "tensor '%s' is missing", name)
                        : SQZ_OK;
    if (tensor->n_dims != n_dims || tensor->shape[0] != rows ||
        (columns && tensor->shape[1] != columns))
        return sqzi_fail(loader->error, SQZ_EFORMAT, tensor->offset,
                         "tensor '%s' is [%" PRIu64 "%s%.0" PRIu64 "] in %u dimensions, [%" PRIu64
                         "%s%.0" PRIu64 "] expected",
                         name, tensor->shape[0], tensor->n_dims > 1 ? ", " : "",
                         tensor->n_dims > 1 ? tensor->shape[1] : 0, (unsigned)tensor->n_dims, rows,
                         columns ? ", " : "", columns);
    return SQZ_OK;
}

sqz_status sqzi_load_vector(sqzi_loader *loader, const char *name, bool required, uint32_t n,
                            const float **vector)
{
    const sqzi_gguf_tensor *tensor;
    const sqz_status status = sqzi_load_tensor(loader, name, required, n, 0, &tensor);
    *vector = NULL;
    if (status != SQZ_OK || !tensor) return status;
    if (tensor->type != SQZI_F32)
        return sqzi_fail(loader->error, SQZ_EFORMAT, tensor->offset, "tensor '%s' must be F32",
                         name);
    if (sqzi_has_nonfinite(tensor->data, n, SQZI_F32))
        return sqzi_fail(loader->error, SQZ_ENUMERIC, tensor->offset,
                         "tensor '%s' holds a NaN or an infinity", name);
    *vector = tensor->data;
    return SQZ_OK;
}

sqz_status sqzi_load_norm(sqzi_loader *loader, const char *name, uint32_t n, double epsilon,
                          sqzi_norm *norm)
{
    char full[96];
    snprintf(full, sizeof full, "%s.weight", name);
    sqz_status status = sqzi_load_vector(loader, full, true, n, &norm->weight);
    snprintf(full, sizeof full, "%s.bias", name);
    if (status == SQZ_OK) status = sqzi_load_vector(loader, full, true, n, &norm->bias);
    norm->epsilon = (sqzi_real)epsilon;
    norm->n = n;
    return status;
}

const sqzi_gguf_tensor *sqzi_load_look(const sqzi_loader *loader, const char *name)
{
    return sqzi_stored_tensor(loader->gguf, name, &(uint32_t){0});
}

sqz_status sqzi_load_stored(sqzi_loader *loader, const char *name, bool required, uint64_t rows,
                            uint64_t columns, sqzi_stored *stored)
{
    char full[SQZI_STORED_NAME];
    *stored = (sqzi_stored){.rows = rows, .columns = columns};
    const sqzi_gguf_tensor *found = sqzi_stored_tensor(loader->gguf, name, &stored->bits);
    const uint32_t bits = stored->bits;
    if (bits) snprintf(full, sizeof full, "%s.s%u", name, (unsigned)bits);
    if (found && rows == 0) stored->rows = found->shape[0];
    sqz_status status = sqzi_load_tensor(loader, bits ? full : name, required, stored->rows,
                                         bits ? sqzi_packed_row_bytes(bits, (size_t)columns)
                                              : columns,
                                         &stored->tensor);
    if (status != SQZ_OK || !found) return status;
    if (found->type == SQZI_I32 || (bits && found->type != SQZI_S8))
        return sqzi_fail(loader->error, SQZ_EFORMAT, found->offset,
                         "tensor '%s' has a type that a matrix%s cannot have", bits ? full : name,
                         bits ? " of packed rows" : "");
    snprintf(full, sizeof full, "%s.scale", name);
    if (found->type == SQZI_S8)
        status = sqzi_load_vector(loader, full, true, (uint32_t)stored->rows, &stored->scale);
    return status;
}

sqz_status sqzi_load_table(sqzi_loader *loader, const char *name, uint32_t rows, uint32_t width,
                           sqzi_table *table)
{
    sqzi_stored stored;
    const sqz_status status = sqzi_load_stored(loader, name, true, rows, width, &stored);
    *table = (sqzi_table){.n_rows = rows, .width = width};
    if (status != SQZ_OK) return status;
    table->rows = stored.tensor->data;
    table->type = stored.tensor->type;
    table->scale = stored.scale;
    table->bits = stored.bits;
    return SQZ_OK;
}
