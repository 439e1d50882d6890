/* SPDX-License-Identifier: Apache-2.0 */
/* Loading linears: their matrices, packed by nn/pack.h, their permutations and biases. */
#include "model/loader.h"

#include <stdio.h>

#include "base/error.h"
#include "io/packed_rows.h"
#include "nn/pack.h"

static sqz_status choose_gemm(sqzi_loader *loader, const sqzi_gguf_tensor *tensor,
                              const sqzk_gemm **gemm)
{
    const sqzk_table *kernels = &loader->model->context->kernels;
    *gemm = tensor->type == SQZI_S8                           ? kernels->gemm_s8
            : tensor->type == SQZI_BF16 && kernels->gemm_bf16 ? kernels->gemm_bf16
                                                              : kernels->gemm_f32;
    if (tensor->type == SQZI_I32 || !*gemm)
        return sqzi_fail(loader->error, SQZ_EUNSUPPORTED, tensor->offset,
                         "tensor '%.*s' has a type that this version cannot multiply with",
                         (int)tensor->name.n, tensor->name.bytes);
    return SQZ_OK;
}

const unsigned char sqzi_counted_weights;

/* An int8 tensor [n_in, n_out] read transposed: its scales belong to the inputs, where no gemm can
 * apply them, so it is packed as the floats that it means. */
static sqz_status pack_transposed_s8(sqzi_loader *loader, sqzi_numbers stored,
                                     const sqzi_matrix *matrix, unsigned char *packed)
{
    const sqz_allocator *allocator = &loader->model->context->allocator;
    const size_t n = matrix->n_out, count = matrix->n_in * n;
    const int8_t *source = stored.data;
    sqzi_real *values = sqzi_allocate(allocator, count * sizeof *values);
    if (!values) return sqzi_fail(loader->error, SQZ_ENOMEM, 0, "no memory for %zu numbers", count);
    for (size_t i = 0; i < count; i++) values[i] = (sqzi_real)source[i] * stored.scale[i / n];
    sqzi_pack(matrix, (sqzi_numbers){values, SQZI_F32, NULL}, NULL, packed);
    sqzi_release(allocator, values, count * sizeof *values);
    return SQZ_OK;
}

/* The tensor's numbers to panels, through a copy where the form permutes them. */
static sqz_status pack_stored(sqzi_loader *loader, sqzi_numbers stored,
                              const sqzi_matrix_form *form, const sqzi_matrix *matrix,
                              unsigned char *packed)
{
    const sqz_allocator *allocator = &loader->model->context->allocator;
    if (!sqzi_matrix_is_permuted(matrix)) {
        sqzi_pack(matrix, stored, form->sums, packed);
        return SQZ_OK;
    }
    const size_t bytes = sqzi_placed_bytes(matrix, stored.type);
    void *block = sqzi_allocate(allocator, bytes);
    if (!block)
        return sqzi_fail(loader->error, SQZ_ENOMEM, 0,
                         "no memory for %zu bytes of permuted weights", bytes);
    sqzi_pack(matrix, sqzi_pack_place(matrix, stored, block), form->sums, packed);
    sqzi_release(allocator, block, bytes);
    return SQZ_OK;
}

/* Packed rows as int8, in memory that serves one matrix after the other. */
static sqz_status expand(sqzi_loader *loader, const sqzi_stored *stored)
{
    const sqz_allocator *allocator = &loader->model->context->allocator;
    const size_t rows = (size_t)stored->rows, n = (size_t)stored->columns,
                 bytes = sqzi_packed_row_bytes(stored->bits, n);
    const sqz_status status = sqzi_stored_check(stored, loader->error);
    if (status != SQZ_OK) return status;
    if (loader->expanded_bytes < rows * n) {
        sqzi_release(allocator, loader->expanded, loader->expanded_bytes);
        loader->expanded = sqzi_allocate(allocator, rows * n);
        loader->expanded_bytes = loader->expanded ? rows * n : 0;
    }
    if (!loader->expanded)
        return sqzi_fail(loader->error, SQZ_ENOMEM, 0, "no memory for %zu numbers", rows * n);
    for (size_t r = 0; r < rows; r++)
        sqzi_packed_expand(stored->bits, n, (const uint8_t *)stored->tensor->data + r * bytes, 0, n,
                           loader->expanded + r * n);
    return SQZ_OK;
}

/* The numbers of a matrix, placed and packed. */
static sqz_status pack_numbers(sqzi_loader *loader, const sqzi_stored *stored, bool as_floats,
                               const sqzi_matrix_form *form, const sqzi_matrix *matrix,
                               unsigned char *packed)
{
    sqzi_numbers numbers = {stored->tensor->data, stored->tensor->type, stored->scale};
    if (stored->bits) {
        const sqz_status status = expand(loader, stored);
        if (status != SQZ_OK) return status;
        numbers.data = loader->expanded;
    }
    return as_floats ? pack_transposed_s8(loader, numbers, matrix, packed)
                     : pack_stored(loader, numbers, form, matrix, packed);
}

sqz_status sqzi_load_matrix(sqzi_loader *loader, const sqzi_stored *stored,
                            const sqzi_matrix_form *form, sqzi_matrix *matrix)
{
    const sqzi_gguf_tensor *tensor = stored->tensor;
    const sqzk_gemm *gemm;
    sqz_status status = choose_gemm(loader, tensor, &gemm);
    if (status != SQZ_OK) return status;
    const bool as_floats = form->transposed && stored->scale;
    if (as_floats) gemm = loader->model->context->kernels.gemm_f32;
    *matrix = sqzi_matrix_of(gemm, form->n_in, form->n_out, form->groups);
    matrix->unsigned_rows = form->unsigned_rows;
    matrix->packing = (sqzi_packing){form->in, form->out, form->transposed};
    unsigned char *packed = sqzi_arena_take(&loader->arena, form->groups, matrix->group_bytes);
    matrix->packed = packed ? packed : &sqzi_counted_weights;
    if (!packed) return SQZ_OK;
    if (!stored->scale && sqzi_has_nonfinite(tensor->data, (size_t)tensor->n, tensor->type))
        return sqzi_fail(loader->error, SQZ_ENUMERIC, tensor->offset,
                         "tensor '%.*s' holds a NaN or an infinity", (int)tensor->name.n,
                         tensor->name.bytes);
    status = pack_numbers(loader, stored, as_floats, form, matrix, packed);
    if (status == SQZ_OK)
        sqzi_file_map_drop(&loader->model->map, (size_t)tensor->offset, (size_t)tensor->bytes);
    return status;
}

/* groups must divide both sides of a matrix. */
static sqz_status check_groups(sqzi_loader *loader, const char *name, uint32_t n_in, uint32_t n_out,
                               uint32_t groups)
{
    if (groups && n_in && n_out && n_in % groups == 0 && n_out % groups == 0) return SQZ_OK;
    return sqzi_fail(loader->error, SQZ_EFORMAT, 0,
                     "linear '%s': %u groups do not divide its %u inputs and %u outputs", name,
                     groups, n_in, n_out);
}

static const uint32_t counted_order; /* a permutation in the counting pass */

/* A permutation from the metadata, checked and copied to where it is aligned. */
static sqz_status load_permutation(sqzi_loader *loader, const char *name, const char *side,
                                   uint32_t n, const uint32_t **out)
{
    char key[128];
    const sqzi_gguf_value *value;
    snprintf(key, sizeof key, "sqz.permutation.%s.%s", name, side);
    const sqz_status status = sqzi_gguf_get_array(loader->gguf, key, SQZI_GGUF_U32, n, false,
                                                  &value, loader->error);
    *out = NULL;
    if (status != SQZ_OK || !value) return status;
    uint32_t *to = sqzi_arena_take(&loader->arena, n, sizeof *to);
    unsigned char *seen = sqzi_arena_take(&loader->arena, n, 1);
    if (!to) {
        *out = &counted_order;
        return SQZ_OK;
    }
    memset(seen, 0, n);
    for (uint32_t i = 0; i < n; i++) {
        to[i] = (uint32_t)sqzi_gguf_uint(value, i);
        if (to[i] >= n || seen[to[i]])
            return sqzi_fail(loader->error, SQZ_EFORMAT, value->offset,
                             "metadata '%s' is no permutation of 0..%u: item %u is %u", key, n - 1,
                             i, to[i]);
        seen[to[i]] = 1;
    }
    *out = to;
    return SQZ_OK;
}

/* What the linear reads, in the order in which it is handed to it. */
static void reorder_input(sqzi_loader *loader, sqzi_linear_shape shape, const uint32_t **in)
{
    uint32_t *to = shape.order ? sqzi_arena_take(&loader->arena, shape.n_in, sizeof *to) : NULL;
    bool moves = false;
    for (uint32_t i = 0; to && i < shape.n_in; i++) {
        to[i] = shape.order[*in ? (*in)[i] : i];
        moves |= to[i] != i;
    }
    if (to) *in = moves ? to : NULL;
}

/* Every number stays in its group. Not known in the counting pass. */
static bool keeps_groups(const sqzi_loader *loader, const uint32_t *order, uint32_t n,
                         uint32_t groups)
{
    if (!loader->arena.base) return false;
    for (uint32_t i = 0; i < n; i++)
        if (order[i] / (n / groups) != i / (n / groups)) return false;
    return true;
}

/* Outputs that leave the groups of a term cannot be packed in their places: linear->from then says
 * which of them a place takes. */
static void load_places(sqzi_loader *loader, sqzi_linear_shape shape, bool whole, bool low_rank,
                        sqzi_linear *linear)
{
    if (!linear->out) return;
    uint32_t *from = sqzi_arena_take(&loader->arena, shape.n_out, sizeof *from);
    linear->from = from ? NULL : &counted_order;
    if (!from) return;
    if ((!whole || keeps_groups(loader, linear->out, shape.n_out, shape.groups)) &&
        (!low_rank || keeps_groups(loader, linear->out, shape.n_out, shape.factor_groups)))
        return;
    for (uint32_t j = 0; j < shape.n_out; j++) from[linear->out[j]] = j;
    linear->from = from;
}

/* GELU's minimum is -0.16998, of the tanh form -0.17005, and kernels may be off by 2^-20. */
bool sqzi_lowest_of(sqzk_activation activation, float *zero_point)
{
    *zero_point = activation == SQZK_GELU || activation == SQZK_GELU_TANH ? 0.1701f : 0.0f;
    return *zero_point > 0 || activation == SQZK_RELU;
}

/* The bias in the order of the packed weights, without what the inputs' zero point adds to an
 * output: zero_point * the sum of its weights. */
static void place_bias(sqzi_loader *loader, const float *scale, float zero_point,
                       const int32_t *sums, sqzi_linear *linear)
{
    const bool placed = linear->bias && linear->out, unsigned_rows = zero_point > 0;
    float *to = placed || unsigned_rows ? sqzi_arena_take(&loader->arena, linear->n_out, sizeof *to)
                                        : NULL;
    if (!to || (linear->from && !unsigned_rows)) return;
    for (uint32_t j = 0; j < linear->n_out; j++) {
        const uint32_t place = linear->out && !linear->from ? linear->out[j] : j;
        const double bias = linear->bias ? (double)linear->bias[j] : 0;
        to[place] = (float)(unsigned_rows
                                ? bias - (double)zero_point * (double)scale[j] * (double)sums[place]
                                : bias);
    }
    linear->bias_is_zero_point = !linear->bias;
    linear->bias = to;
}

/* The matrix of a term that reads the linear's inputs. */
static sqz_status load_first(sqzi_loader *loader, const sqzi_stored *stored, sqzi_matrix_form form,
                             const sqzi_linear *linear, sqzi_matrix *matrix)
{
    const bool packed = linear->in && keeps_groups(loader, linear->in, form.n_in, form.groups);
    if (packed) form.in = linear->in;
    const sqz_status status = sqzi_load_matrix(loader, stored, &form, matrix);
    matrix->gather = packed ? NULL : linear->in;
    return status;
}

static sqz_status load_low_rank(sqzi_loader *loader, const char *name, sqzi_linear_shape shape,
                                sqzi_linear *linear)
{
    char full[96];
    sqzi_stored a, b;
    const uint32_t groups = shape.factor_groups;
    sqzi_term *term = &linear->terms[linear->n_terms++];
    sqz_status status = SQZ_OK;
    /* as of every other linear: sums of bytes fit 32 bits up to twice as many (gemm_s8_panel.h) */
    enum { MOST_ROWS = 1 << 16 };
    snprintf(full, sizeof full, "%s.a", name);
    status = sqzi_load_stored(loader, full, true, 0, shape.n_in / groups, &a);
    if (status != SQZ_OK) return status;
    if (a.rows % groups || a.rows > MOST_ROWS)
        return sqzi_fail(loader->error, SQZ_EFORMAT, a.tensor->offset,
                         "tensor '%s' must be [rank * %u, %u], and its first dimension at most %d",
                         full, groups, shape.n_in / groups, MOST_ROWS);
    const uint32_t rank = (uint32_t)a.rows / groups;
    snprintf(full, sizeof full, "%s.b", name);
    status = sqzi_load_stored(loader, full, true, shape.n_out, rank, &b);
    if (status == SQZ_OK)
        status = load_first(
            loader, &a,
            (sqzi_matrix_form){.n_in = shape.n_in, .n_out = rank * groups, .groups = groups},
            linear, &term->a);
    if (status == SQZ_OK)
        status = sqzi_load_matrix(loader, &b,
                                  &(sqzi_matrix_form){.n_in = rank * groups,
                                                      .n_out = shape.n_out,
                                                      .groups = groups,
                                                      .out = linear->from ? NULL : linear->out},
                                  &term->b);
    return status;
}

sqz_status sqzi_load_linear(sqzi_loader *loader, const char *name, sqzi_linear_shape shape,
                            bool required, bool *found, sqzi_linear *linear)
{
    sqz_status status = SQZ_OK;
    char full[96];
    float zero_point = 0;
    int32_t *sums = NULL;
    sqzi_stored weight;
    *linear = (sqzi_linear){.n_in = shape.n_in,
                            .n_out = shape.n_out,
                            .kernels = &loader->model->context->kernels};
    snprintf(full, sizeof full, "%s.a", name);
    const bool a = sqzi_load_look(loader, full) != NULL;
    TRY(check_groups(loader, name, shape.n_in, shape.n_out, shape.groups));
    snprintf(full, sizeof full, "%s.weight", name);
    TRY(sqzi_load_stored(loader, full, required && !a, shape.n_out, shape.n_in / shape.groups,
                         &weight));
    const bool whole = weight.tensor != NULL;
    if (found) *found = whole || a;
    if (!whole && !a) return SQZ_OK;
    if (a) TRY(check_groups(loader, name, shape.n_in, shape.n_out, shape.factor_groups));
    TRY(load_permutation(loader, name, "in", shape.n_in, &linear->in));
    TRY(load_permutation(loader, name, "out", shape.n_out, &linear->out));
    reorder_input(loader, shape, &linear->in);
    load_places(loader, shape, whole, a, linear);
    if (whole) {
        sqzi_matrix_form form = {.n_in = shape.n_in,
                                 .n_out = shape.n_out,
                                 .groups = shape.groups,
                                 .out = linear->from ? NULL : linear->out,
                                 .unsigned_rows = !a && weight.scale &&
                                                  sqzi_lowest_of(shape.input, &zero_point)};
        if (zero_point > 0)
            sums = form.sums = sqzi_arena_take(&loader->arena, shape.n_out, sizeof *sums);
        sqzi_matrix *matrix = &linear->terms[linear->n_terms++].b;
        TRY(load_first(loader, &weight, form, linear, matrix));
        matrix->zero_point = zero_point;
    }
    if (a) TRY(load_low_rank(loader, name, shape, linear));
    snprintf(full, sizeof full, "%s.bias", name);
    TRY(sqzi_load_vector(loader, full, false, shape.n_out, &linear->bias));
    place_bias(loader, weight.scale, zero_point, sums, linear);
fail:
    return status;
}
