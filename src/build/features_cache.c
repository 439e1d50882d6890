/* SPDX-License-Identifier: Apache-2.0 */
/* Features in a file: a GGUF with the keys of its rows and checksums. */
#include <string.h>

#include "base/error.h"
#include "build/features.h"
#include "rewrite/keyed_file.h"

static const char kind[] = "features";
enum { KEY_BYTES = SQZI_FEATURE_KEY * (int)sizeof(int32_t) };

sqz_status sqzi_features_save(const sqzi_features *f, const char *path, const char *key,
                              sqz_error *error)
{
    const sqzi_keyed_tensor tensors[] = {{"keys", SQZI_I32, f->n, SQZI_FEATURE_KEY, f->keys},
                                         {"rows", SQZI_F32, f->n, f->width, f->rows}};
    return sqzi_keyed_save(f->allocator, path, kind, key, tensors, 2, error);
}

/* Rows of the data set in the order of their keys, beside those of the file, whatever their
 * order. */
static void take(sqzi_features *f, const sqzi_keyed_tensor *keys, const sqzi_keyed_tensor *rows,
                 unsigned char *known)
{
    const int32_t *theirs = keys->data;
    const float *row = rows->data;
    for (uint64_t i = 0; i < keys->rows; i++, theirs += SQZI_FEATURE_KEY, row += f->width) {
        uint32_t low = 0, high = f->n;
        while (low < high) {
            const uint32_t middle = low + (high - low) / 2;
            const int32_t *key = f->keys + (size_t)f->order[middle] * SQZI_FEATURE_KEY;
            if (memcmp(key, theirs, KEY_BYTES) < 0) low = middle + 1;
            else high = middle;
        }
        for (; low < f->n; low++) {
            const uint32_t at = f->order[low];
            if (memcmp(f->keys + (size_t)at * SQZI_FEATURE_KEY, theirs, KEY_BYTES) != 0) break;
            memcpy(f->rows + (size_t)at * f->width, row, f->width * sizeof *row);
            known[at] = 1;
        }
    }
}

sqz_status sqzi_features_load(sqzi_features *f, const char *path, const char *key,
                              unsigned char *known, bool *damaged, sqz_error *error)
{
    sqz_error ignored = {0};
    sqzi_keyed_file file;
    sqzi_keyed_tensor tensors[] = {{"keys", SQZI_I32, 0, SQZI_FEATURE_KEY, NULL},
                                   {"rows", SQZI_F32, 0, f->width, NULL}};
    sqz_status status = sqzi_keyed_open(f->allocator, path, kind, key, tensors, 2, &file, &ignored);
    if (status == SQZ_OK && tensors[0].rows != tensors[1].rows) status = SQZ_EFORMAT;
    if (status == SQZ_OK) take(f, &tensors[0], &tensors[1], known);
    *damaged = file.map.data && status != SQZ_OK;
    sqzi_keyed_close(&file);
    if (status != SQZ_ENOMEM && status != SQZ_EOUTPUT) return SQZ_OK;
    return sqzi_fail(error, status, 0, "%s", ignored.text);
}
