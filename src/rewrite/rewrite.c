/* SPDX-License-Identifier: Apache-2.0 */
/* A model file under its temporary name: written, run, completed, and given its name. */
#include "rewrite/rewrite.h"

#include "base/error.h"
#include "io/checksum.h"
#include "rewrite/references.h"

/* A text that begins with the temporary name gets the one that the user gave. */
static void name_output(const sqzi_file_writer *file, sqz_error *error)
{
    const size_t n = strlen(file->temporary);
    if (!error || n == 0 || strncmp(error->text, file->temporary, n) != 0) return;
    memmove(error->text, error->text + n, strlen(error->text + n) + 1);
    if (strncmp(error->text, ": ", 2) == 0)
        memmove(error->text, error->text + 2, strlen(error->text + 2) + 1);
    sqzi_error_prefix(error, file->path);
}

static sqz_status write_and_run(sqzi_gguf_writer *writer, sqzi_references *references,
                                const char *path, sqzi_file_writer *file, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    TRY(sqzi_file_writer_open(path, file, error));
    TRY(sqzi_gguf_write(writer, file, error));
    TRY(sqzi_file_writer_flush(file, error));
    TRY(sqzi_references_run(references, file->temporary, error));
fail:
    return status;
}

sqz_status sqzi_references_compare_with(sqzi_references *r, sqzi_gguf_writer *writer,
                                        const char *path, sqz_error *error)
{
    sqzi_file_writer file = {0};
    const sqz_status status = write_and_run(writer, r, path, &file, error);
    if (status != SQZ_OK) name_output(&file, error);
    sqzi_file_writer_discard(&file);
    for (uint32_t j = 0; j < r->n; j++) {
        sqzi_reference_vector *v = &r->vectors[j];
        float *hidden = v->hidden, *logits = v->logits;
        v->hidden = v->source_hidden;
        v->logits = v->source_logits;
        v->source_hidden = hidden;
        v->source_logits = logits;
    }
    r->compared = true;
    return status;
}

/* The numbers of references->measured, in their places. */
static sqz_status measure(const sqzi_references *r, sqzi_file_writer *file, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqzi_measured *measured = r->measured;
    sqzi_file_map map = {NULL, 0};
    sqzi_gguf *gguf = NULL;
    if (!measured) return SQZ_OK;
    TRY(measured->measure(measured->user, file->temporary, error));
    TRY(sqzi_file_map_open(file->temporary, &map, error));
    TRY(sqzi_gguf_open(r->allocator, file->path, map.data, map.bytes, &gguf, error));
    for (uint32_t i = 0; i < measured->n; i++)
        TRY(sqzi_file_writer_put_at(file, sqzi_gguf_find(gguf, measured->keys[i])->offset,
                                    &measured->values[i], sizeof measured->values[i], error));
fail:
    sqzi_gguf_close(gguf);
    sqzi_file_map_close(&map);
    return status;
}

sqz_status sqzi_rewrite_write(sqzi_gguf_writer *writer, sqzi_references *references,
                              const char *path, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_file_writer file = {0};
    sqzi_references_put(references, writer);
    TRY(write_and_run(writer, references, path, &file, error));
    TRY(measure(references, &file, error));
    TRY(sqzi_references_complete(references, &file, error));
    TRY(sqzi_checksum_put(references->allocator, &file, error));
    TRY(sqzi_file_writer_commit(&file, error));
fail:
    if (status != SQZ_OK) name_output(&file, error);
    sqzi_file_writer_discard(&file);
    return status;
}

sqz_status sqzi_rewrite_bytes(sqzi_gguf_writer *writer, const sqzi_references *references,
                              uint64_t *bytes, sqz_error *error)
{
    sqzi_references_put(references, writer);
    return sqzi_gguf_bytes(writer, bytes, error);
}
