/* SPDX-License-Identifier: Apache-2.0 */
/* The file is parsed whole: it has a few numbers an example and epoch. */
#include "train/replay.h"

#include "base/error.h"
#include "base/file_map.h"
#include "data/json_text.h"

/* What is there is arrays of rows; *n_rows of them in all. */
static sqz_status check(const json_t *root, const char *path, uint32_t below, uint64_t *n_rows,
                        sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const json_t *batch, *row;
    size_t b, r;
    *n_rows = 0;
    FAIL_IF(!json_array_size(root), SQZ_EFORMAT, 0,
            "%s: an array of batches is expected, [[3, 0, 7], [1, ...], ...]", path);
    json_array_foreach ((json_t *)root, b, batch) {
        FAIL_IF(!json_array_size(batch), SQZ_EFORMAT, b,
                "%s: batch %zu is no array of row numbers, or has none", path, b);
        *n_rows += json_array_size(batch);
        json_array_foreach ((json_t *)batch, r, row)
            FAIL_IF(!json_is_integer(row) || json_integer_value(row) < 0 ||
                        json_integer_value(row) >= below,
                    SQZ_EFORMAT, b, "%s: batch %zu: item %zu is no row number below %u", path, b, r,
                    below);
    }
fail:
    return status;
}

static void copy(sqzi_replay *replay, const json_t *root)
{
    const json_t *batch, *row;
    size_t b, r;
    uint64_t used = 0;
    json_array_foreach ((json_t *)root, b, batch) {
        replay->begin[b] = used;
        json_array_foreach ((json_t *)batch, r, row)
            replay->rows[used++] = (uint32_t)json_integer_value(row);
    }
    replay->begin[replay->n_batches] = used;
}

sqz_status sqzi_replay_read(sqzi_replay *replay, const char *path, uint32_t below, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    uint64_t spare = SQZI_JSON_SPARE;
    json_t *root = NULL;
    sqzi_file_map map = {0};
    TRY(sqzi_file_map_open(path, &map, error));
    TRY(sqzi_json_parse((sqzi_json_text){path, map.data, map.bytes, map.bytes, true}, &spare, &root,
                        error));
    TRY(check(root, path, below, &replay->n_rows, error));
    replay->n_batches = json_array_size(root);
    replay->begin = sqzi_allocate_zeroed(replay->allocator, replay->n_batches + 1,
                                         sizeof *replay->begin);
    replay->rows = sqzi_allocate_zeroed(replay->allocator, replay->n_rows, sizeof *replay->rows);
    FAIL_IF(!replay->begin || !replay->rows, SQZ_ENOMEM, 0, "%s: no memory for its batches", path);
    copy(replay, root);
fail:
    json_decref(root);
    sqzi_file_map_close(&map);
    if (status != SQZ_OK) sqzi_replay_free(replay);
    return status;
}

void sqzi_replay_free(sqzi_replay *replay)
{
    if (replay->begin)
        sqzi_release(replay->allocator, replay->begin,
                     (replay->n_batches + 1) * sizeof *replay->begin);
    if (replay->rows)
        sqzi_release(replay->allocator, replay->rows, replay->n_rows * sizeof *replay->rows);
    *replay = (sqzi_replay){.allocator = replay->allocator};
}
