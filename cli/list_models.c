/* SPDX-License-Identifier: Apache-2.0 */
/* `info` without a model: those that are found by their names. */
#include <stdlib.h>

#include "find_model.h"
#include "output.h"

static void show(const cli_shipped *m, const sqz_model_info *info)
{
    const bool embeds = info->head == SQZ_HEAD_NONE;
    const uint32_t size = embeds ? info->dimensions : info->n_labels;
    if (!cli.json) {
        printf("%-16s %9llu bytes  %2u layers  %u %s  %s\n", m->name,
               (unsigned long long)info->file_bytes, (unsigned)info->n_layers, (unsigned)size,
               embeds ? "dimensions" : "classes", m->path);
        return;
    }
    cli_json_open('{');
    cli_json_key_string("model", m->name);
    cli_json_key_string("path", m->path);
    cli_json_key_number("file_bytes", info->file_bytes);
    cli_json_key_number("layers", info->n_layers);
    cli_json_key_string("head", sqz_head_name(info->head));
    cli_json_key_number(embeds ? "dimensions" : "classes", size);
    cli_json_close('}');
}

int cli_list_models(void)
{
    uint32_t n, failed = 0;
    const cli_shipped *models = cli_shipped_models(&n);
    for (uint32_t i = 0; i < n; i++) {
        sqz_error error = {0};
        sqz_model *model;
        if (sqz_model_open(cli_context(), models[i].path, &model, &error) != SQZ_OK) {
            cli_say("%s", error.text);
            failed++;
            continue;
        }
        show(&models[i], sqz_model_get_info(model));
        sqz_model_close(model);
    }
    if (!n) {
        char *where = cli_shipped_folders();
        cli_say("no model has a name (looked in %s)", where);
        free(where);
    }
    return failed || !n ? CLI_FAILED : CLI_DONE;
}
