/* SPDX-License-Identifier: Apache-2.0 */
/* A model file beside its checksums, without a model being made of it. */
#include "base/error.h"
#include "io/checksum.h"
#include "model/loader.h"

static sqz_status check_bytes(const sqzi_file_map *map, const sqzi_gguf *gguf,
                              sqz_file_check *check, sqz_error *error)
{
    bool there = false;
    sqzi_span digest = {"", 0};
    const sqz_status status = sqzi_checksum_check(map, gguf, &there, error);
    check->has_checksum = there;
    check->n_bytes = map->bytes;
    if (status != SQZ_OK || !there) return status;
    const sqz_status found = sqzi_gguf_get_string(gguf, SQZI_CHECKSUM_TENSORS, true, &digest,
                                                  error);
    if (found == SQZ_OK && digest.n < sizeof check->sha256)
        memcpy(check->sha256, digest.bytes, digest.n);
    return found;
}

sqz_status sqz_model_check(sqz_context *context, const char *path, sqz_file_check *check,
                           sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_file_map map = {NULL, 0};
    sqzi_gguf *gguf = NULL;
    if (!context || !path || !check)
        return sqzi_fail(error, SQZ_EINVAL, 0, "sqz_model_check: an argument is NULL");
    *check = (sqz_file_check){0};
    TRY(sqzi_file_map_open(path, &map, error));
    TRY(sqzi_gguf_open(&context->allocator, path, map.data, map.bytes, &gguf, error));
    status = check_bytes(&map, gguf, check, error);
    if (status != SQZ_OK) sqzi_error_prefix(error, path);
fail:
    sqzi_gguf_close(gguf);
    sqzi_file_map_close(&map);
    return status;
}
