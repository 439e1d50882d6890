/* SPDX-License-Identifier: Apache-2.0 */
#include "import/vector_file.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/error.h"
#include "import/zip_archive.h"
#include "model/loader.h"

static const char *const array_names[SQZI_VECTOR_ARRAYS] = {"ids", "lengths", "types", "hidden",
                                                            "logits"};

static sqz_status take_member(void *user, const sqzi_zip_member *member, sqz_error *error)
{
    sqzi_vector_file *f = user;
    sqz_status status = SQZ_OK;
    int i = 0;
    for (; i < SQZI_VECTOR_ARRAYS; i++) {
        char name[16];
        snprintf(name, sizeof name, "%s.npy", array_names[i]);
        if (sqzi_span_is(member->name, name)) break;
    }
    FAIL_IF(i == SQZI_VECTOR_ARRAYS, SQZ_EFORMAT, 0,
            "%s: '%.*s' is none of the arrays ids, lengths, types, hidden and logits", f->path,
            (int)(member->name.n > 60 ? 60 : member->name.n), member->name.bytes);
    FAIL_IF(f->blocks[i], SQZ_EFORMAT, 0, "%s: the array '%s' comes twice", f->path,
            array_names[i]);
    f->unpacked_bytes += member->bytes;
    FAIL_IF(f->unpacked_bytes > 16 * f->map.bytes + (32 << 20), SQZ_ELIMIT, 0,
            "%s: %zu bytes of file unpack to more than 16 times as many and 32 MiB", f->path,
            f->map.bytes);
    f->block_bytes[i] = member->bytes;
    f->blocks[i] = sqzi_allocate(f->allocator, member->bytes);
    FAIL_IF(!f->blocks[i], SQZ_ENOMEM, 0, "no memory for the array '%s' of %zu bytes",
            array_names[i], member->bytes);
    TRY(sqzi_zip_unpack(f->path, member, f->blocks[i], error));
    TRY(sqzi_npy_read(f->path, array_names[i], f->blocks[i], member->bytes, &f->arrays[i], error));
fail:
    return status;
}

/* Dimensions, columns (0: a list) and rows of an array that may be absent. */
static sqz_status check_shape(const sqzi_vector_file *f, int i, bool floats, uint64_t rows,
                              uint64_t columns, sqz_error *error)
{
    const sqzi_npy_array *a = &f->arrays[i];
    const char *name = array_names[i];
    if (!a->data) return SQZ_OK;
    if (a->floats != floats)
        return sqzi_fail(error, SQZ_EFORMAT, 0, "%s: the array '%s' holds %s, %s expected", f->path,
                         name, floats ? "integers" : "floats", floats ? "floats" : "integers");
    if (a->n_dims == (columns ? 2u : 1u) && a->shape[0] == rows &&
        (!columns || a->shape[1] == columns))
        return SQZ_OK;
    return sqzi_fail(error, SQZ_EFORMAT, 0,
                     "%s: the array '%s' is [%" PRIu64 "%s%.0" PRIu64
                     "] in %u dimensions, [%" PRIu64 "%s%.0" PRIu64 "] expected",
                     f->path, name, a->n_dims ? a->shape[0] : 0, a->n_dims > 1 ? ", " : "",
                     a->n_dims > 1 ? a->shape[1] : 0, (unsigned)a->n_dims, rows,
                     columns ? ", " : "", columns);
}

uint32_t sqzi_vector_length(const sqzi_vector_file *f, uint32_t sequence)
{
    return f->arrays[SQZI_LENGTHS].data ? sqzi_npy_uint(&f->arrays[SQZI_LENGTHS], sequence)
                                        : (uint32_t)f->arrays[SQZI_IDS].n;
}

static sqz_status check_lengths(const sqz_model *model, sqzi_vector_file *f, sqz_error *error)
{
    const sqzi_npy_array *ids = &f->arrays[SQZI_IDS], *lengths = &f->arrays[SQZI_LENGTHS];
    uint64_t sum = 0;
    sqz_status status = SQZ_OK;
    FAIL_IF(!ids->data, SQZ_EFORMAT, 0, "%s: the array 'ids' is missing", f->path);
    FAIL_IF(!f->arrays[SQZI_HIDDEN].data && !f->arrays[SQZI_LOGITS].data, SQZ_EFORMAT, 0,
            "%s: there is neither 'hidden' nor 'logits' to compare with", f->path);
    TRY(check_shape(f, SQZI_IDS, false, ids->n_dims ? ids->shape[0] : 0, 0, error));
    TRY(check_shape(f, SQZI_LENGTHS, false, lengths->n_dims ? lengths->shape[0] : 0, 0, error));
    const uint64_t n = lengths->data ? lengths->n : 1;
    FAIL_IF(ids->n >= UINT32_MAX, SQZ_ELIMIT, 0,
            "%s: %" PRIu64 " tokens, fewer than 2^32 - 1 are possible", f->path, ids->n);
    FAIL_IF(n < 1 || n > ids->n, SQZ_EFORMAT, 0,
            "%s: %" PRIu64 " tokens in %" PRIu64 " sequences: each has at least one", f->path,
            ids->n, n);
    f->n_sequences = (uint32_t)n;
    for (uint32_t j = 0; j < f->n_sequences; j++) {
        const uint32_t length = sqzi_vector_length(f, j);
        FAIL_IF(length < 1 || length > model->info.max_positions, SQZ_EFORMAT, j,
                "%s: sequence %u has %d tokens, the model takes 1 to %u", f->path, j, (int)length,
                model->info.max_positions);
        sum += length;
        if (length > f->longest) f->longest = length;
    }
    FAIL_IF(sum != ids->n, SQZ_EFORMAT, 0,
            "%s: the lengths sum up to %" PRIu64 ", 'ids' has %" PRIu64 " tokens", f->path, sum,
            ids->n);
fail:
    return status;
}

sqz_status sqzi_vector_file_open(const sqz_model *model, const char *path, sqzi_vector_file *f,
                                 sqz_error *error)
{
    sqz_status status = SQZ_OK;
    *f = (sqzi_vector_file){.allocator = &model->context->allocator, .path = path};
    f->whole = model->head.pooling > SQZ_POOLING_NONE;
    TRY(sqzi_file_map_open(path, &f->map, error));
    FAIL_IF(!sqzi_is_zip(f->map.data, f->map.bytes), SQZ_EFORMAT, 0,
            "%s is no .npz file: it does not begin as a zip file", path);
    TRY(sqzi_zip_read(path, f->map.data, f->map.bytes, take_member, f, error));
    TRY(check_lengths(model, f, error));
    TRY(check_shape(f, SQZI_TYPES, false, f->arrays[SQZI_IDS].n, 0, error));
    TRY(check_shape(f, SQZI_HIDDEN, true, f->arrays[SQZI_IDS].n, model->info.width, error));
    FAIL_IF(f->arrays[SQZI_LOGITS].data && model->head.kind == SQZ_HEAD_NONE, SQZ_EFORMAT, 0,
            "%s holds logits, and the model has no head", path);
    TRY(check_shape(f, SQZI_LOGITS, true, f->whole ? f->n_sequences : f->arrays[SQZI_IDS].n,
                    model->head.classes, error));
fail:
    return status;
}

void sqzi_vector_file_close(sqzi_vector_file *f)
{
    for (int i = 0; i < SQZI_VECTOR_ARRAYS; i++)
        if (f->blocks[i]) sqzi_release(f->allocator, f->blocks[i], f->block_bytes[i]);
    sqzi_file_map_close(&f->map);
}
