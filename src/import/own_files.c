/* SPDX-License-Identifier: Apache-2.0 */
/* A model file is never written over what it is made of: config.json is as easily typed as a name
 * of one's own, and a folder that was downloaded would have to be downloaded again. */
#define _POSIX_C_SOURCE 200809L /* stat */
#include <sys/stat.h>

#include "base/error.h"
#include "import/importer.h"
#include "import/json_file.h"

static bool is_same(const struct stat *output, const char *path)
{
    struct stat facts;
    return stat(path, &facts) == 0 && facts.st_dev == output->st_dev &&
           facts.st_ino == output->st_ino;
}

static bool is_weights(const struct stat *output, const sqzi_source *source)
{
    for (uint32_t i = 0; i < source->n_shards; i++)
        if (is_same(output, source->shards[i].path)) return true;
    return false;
}

/* Files beside the weights, in either folder. */
static bool is_setting(const struct stat *output, const sqzi_importer *m)
{
    static const char *const names[] = {"tokenizer.json",
                                        "tokenizer_config.json",
                                        "vocab.txt",
                                        "special_tokens_map.json",
                                        "added_tokens.json",
                                        "modules.json",
                                        "README.md",
                                        "config_sentence_transformers.json",
                                        "model.safetensors.index.json",
                                        "sentence_bert_config.json",
                                        "config.json",
                                        "pytorch_model.bin.index.json"};
    const char *const folders[] = {m->folder, m->transformer};
    char path[SQZI_JSON_PATH];
    for (size_t f = 0; f < 2; f++) {
        if (sqzi_join_path(folders[f], m->config_file, path, NULL) == SQZ_OK &&
            is_same(output, path))
            return true;
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            if (sqzi_join_path(folders[f], names[i], path, NULL) == SQZ_OK && is_same(output, path))
                return true;
    }
    return false;
}

sqz_status sqzi_import_check_output(const sqzi_importer *m, const char *path)
{
    struct stat output;
    if (stat(path, &output) != 0 || !S_ISREG(output.st_mode)) return SQZ_OK;
    bool own = is_weights(&output, &m->source) || is_setting(&output, m) ||
               (m->options.tokenizer && is_same(&output, m->options.tokenizer));
    for (uint32_t i = 0; i < m->n_modules; i++) own |= is_weights(&output, &m->modules[i]);
    if (!own) return SQZ_OK;
    return sqzi_fail(m->error, SQZ_EOUTPUT, 0,
                     "%s: cannot write: it is a file of the folder that is imported; name another",
                     path);
}
