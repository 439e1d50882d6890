/* SPDX-License-Identifier: Apache-2.0 */
/* Loading a product-quantised table of words, and the decoder tied to one (doc/format.md). */
#include "base/error.h"
#include "model/loader.h"
#include "nn/pack.h"

static sqz_status check_type(const sqzi_loader *loader, const sqzi_gguf_tensor *tensor)
{
    if (tensor->type == SQZI_S8) return SQZ_OK;
    return sqzi_fail(loader->error, SQZ_EFORMAT, tensor->offset, "tensor '%.*s' must be I8",
                     (int)tensor->name.n, tensor->name.bytes);
}

sqz_status sqzi_load_words(sqzi_loader *loader, uint32_t rows, uint32_t width, sqzi_table *table)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = loader->error;
    const sqzi_gguf_tensor *codes = sqzi_load_find(loader, "token_embd.codes"), *centroids;
    if (!codes) return sqzi_load_table(loader, "token_embd.weight", rows, width, table);
    TRY(check_type(loader, codes));
    FAIL_IF(codes->n_dims != 2 || codes->shape[0] != rows || codes->shape[1] < 1 ||
                codes->shape[1] > width || width % codes->shape[1],
            SQZ_EFORMAT, codes->offset,
            "tensor 'token_embd.codes' must be [%u, parts], with parts that divide the width %u",
            rows, width);
    const uint32_t parts = (uint32_t)codes->shape[1], n = parts * SQZI_CENTROIDS;
    *table = (sqzi_table){
        .type = SQZI_S8, .n_rows = rows, .width = width, .codes = codes->data, .parts = parts};
    TRY(sqzi_load_tensor(loader, "token_embd.centroids", true, n, width / parts, &centroids));
    TRY(check_type(loader, centroids));
    table->rows = centroids->data;
    TRY(sqzi_load_vector(loader, "token_embd.centroids.scale", true, n, &table->scale));
fail:
    return status;
}

sqz_status sqzi_load_words_matrix(sqzi_loader *loader, const sqzi_table *table, sqzi_matrix *matrix)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = loader->error;
    const sqz_context *context = loader->model->context;
    const size_t n = table->width, bytes = table->n_rows * n * sizeof(sqzi_real);
    *matrix = sqzi_matrix_of(context->kernels.gemm_f32, table->width, table->n_rows, 1);
    unsigned char *packed = sqzi_arena_take(&loader->arena, 1, matrix->group_bytes);
    matrix->packed = packed ? packed : &sqzi_counted_weights;
    if (!packed) return SQZ_OK;
    sqzi_real *values = sqzi_allocate(&context->allocator, bytes);
    FAIL_IF(!values, SQZ_ENOMEM, 0, "no memory for %zu bytes of a decoder's weights", bytes);
    for (uint32_t r = 0; r < table->n_rows; r++)
        sqzi_table_row(table, &context->kernels, r, 0, values + r * n);
    sqzi_pack(matrix, (sqzi_numbers){values, SQZI_F32, NULL}, NULL, packed);
    sqzi_release(&context->allocator, values, bytes);
fail:
    return status;
}
