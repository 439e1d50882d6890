/* SPDX-License-Identifier: Apache-2.0 */
/* A temporary file, under the name that a file beside it would be written by. */
#define _POSIX_C_SOURCE 200809L
#include "squeeze/quantized_model.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file_writer.h"
#include "base/temporaries.h"
#include "squeeze/weights.h"

bool sqzi_has_integers(const sqz_model *model)
{
    for (uint32_t i = 0; i < sqzi_gguf_n_tensors(model->gguf); i++)
        if (sqzi_gguf_tensor_at(model->gguf, i)->type == SQZI_S8) return true;
    return false;
}

/* Writes a model file of this name. */
typedef sqz_status maker(void *user, const char *name, sqz_error *error);

static sqz_status open_made(sqz_context *context, maker *make, void *user, const char *place,
                            sqz_model **model, sqz_error *error)
{
    char found[SQZI_OUTPUT_PATH], name[SQZI_OUTPUT_PATH + SQZI_TEMPORARY_SUFFIX];
    sqzi_place kind;
    sqz_status status = sqzi_place_find(place, found, &kind, error);
    if (status != SQZ_OK) return status;
    sqzi_place_temporary(found, name);
    const int slot = sqzi_temporary_add(AT_FDCWD, name, false);
    status = make(user, name, error);
    if (status == SQZ_OK) status = sqz_model_open(context, name, model, error);
    (void)unlink(name);
    sqzi_temporary_forget(slot);
    if (status != SQZ_OK && error && strncmp(error->text, name, strlen(name)) == 0) {
        const sqz_error said = *error; /* a message names what its reader named */
        return sqzi_fail(error, status, said.offset, "%s%s", place, said.text + strlen(name));
    }
    return status;
}

typedef struct quantising {
    sqz_context *context;
    const char *path;
    sqz_quantize_type type;
} quantising;

static sqz_status quantise(void *user, const char *name, sqz_error *error)
{
    const quantising *q = user;
    const sqz_quantize_options options = {.type = q->type};
    return sqz_quantize(q->context, q->path, name, &options, error);
}

sqz_status sqzi_quantized_open(sqz_context *context, const char *path, sqz_quantize_type type,
                               const char *place, sqz_model **model, sqz_error *error)
{
    quantising q = {context, path, type};
    return open_made(context, quantise, &q, place, model, error);
}

sqz_status sqzi_floats_write(const sqz_model *from, const char *out, sqz_error *error)
{
    const sqzi_step step = {.history = "floats", .suffix = "-f32"};
    uint64_t bytes;
    sqzi_weights weights;
    sqz_status status = sqzi_weights_of(from, &weights, error);
    if (status == SQZ_OK) status = sqzi_weights_write(&weights, &step, out, &bytes, error);
    sqzi_weights_discard(&weights);
    return status;
}

static sqz_status write_floats(void *user, const char *name, sqz_error *error)
{
    return sqzi_floats_write(user, name, error);
}

sqz_status sqzi_floats_open(const sqz_model *from, const char *place, sqz_model **model,
                            sqz_error *error)
{
    return open_made(from->context, write_floats, (void *)(uintptr_t)from, place, model, error);
}
