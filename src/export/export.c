/* SPDX-License-Identifier: Apache-2.0 */
/* The export as a whole. */
#include "base/error.h"
#include "export/exporter.h"
#include "model/context.h"

static sqz_status write_folder(sqzi_exporter *e, const char *path)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = e->error;
    FAIL_IF(e->model->encoder.embedding.bare, SQZ_EUNSUPPORTED, 0,
            "no class of Transformers can express a static table, which has neither positions nor "
            "a norm: export the model that it was made from");
    TRY(sqzi_gguf_get_f64(e->model->gguf, "sqz.embedding.norm_epsilon", true, &e->epsilon,
                          e->error));
    TRY(sqzi_gguf_get_f64(e->model->gguf, "sqz.head.norm_epsilon", false, &e->head_epsilon,
                          e->error));
    TRY(sqzi_gguf_get_bool(e->model->gguf, "sqz.head.tied", false, &e->tied, e->error));
    TRY(sqzi_export_class(e));
    TRY(sqzi_folder_writer_open(path, &e->folder, e->error));
    TRY(sqzi_export_tensors(e));
    TRY(sqzi_export_config(e));
    TRY(sqzi_export_tokenizer(e));
    TRY(sqzi_export_texts(e));
    TRY(sqzi_export_card(e));
    TRY(sqzi_folder_writer_commit(&e->folder, e->error));
fail:
    sqzi_folder_writer_discard(&e->folder);
    json_decref(e->config);
    return status;
}

sqz_status sqz_export(const sqz_model *model, const char *folder, const sqz_export_options *options,
                      sqz_error *error)
{
    if (!model || !folder)
        return sqzi_fail(error, SQZ_EINVAL, 0, "sqz_export: an argument is NULL");
    const sqz_status status = SQZI_RESERVED(options, "sqz_export_options", error);
    if (status != SQZ_OK) return status;
    sqzi_exporter e = {.model = model,
                       .allocator = &model->context->allocator,
                       .head_epsilon = 1e-12,
                       .error = error};
    if (options) e.options = *options;
    return write_folder(&e, folder);
}
