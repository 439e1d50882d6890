/* SPDX-License-Identifier: Apache-2.0 */
/* What the user named to the two folders of an import: that of modules.json and that of config.json
 * and weights. A cache of the Hugging Face Hub, a file instead of its folder, and a Transformer in
 * a folder of its own are followed; what holds no model is told what it is. */
#define _POSIX_C_SOURCE 200809L /* access */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file_map.h"
#include "import/folder_contents.h"
#include "import/importer.h"

/* FOLDER/NAME into `out`, which may be `folder` itself. */
static sqz_status enter(const char *folder, const char *name, char out[SQZI_JSON_PATH],
                        sqz_error *error)
{
    char path[SQZI_JSON_PATH];
    const sqz_status status = sqzi_join_path(folder, name, path, error);
    if (status == SQZ_OK) memcpy(out, path, strlen(path) + 1);
    return status;
}

static bool holds(const char *folder, const char *name)
{
    char path[SQZI_JSON_PATH];
    return sqzi_join_path(folder, name, path, NULL) == SQZ_OK && sqzi_file_exists(path);
}

static const char *config_file_of(const char *folder)
{
    return holds(folder, "config.json")        ? "config.json"
           : holds(folder, "bert_config.json") ? "bert_config.json"
                                               : NULL;
}

/* ---- a file ---- */

static sqz_status refuse_gguf(const sqzi_importer *m, const sqzi_file_map *map)
{
    static const char ours[] = "sqz-encoder";
    const size_t n = sizeof ours - 1, head = map->bytes < 4096 ? map->bytes : 4096;
    bool found = false;
    for (size_t i = 0; !found && i + n <= head; i++) found = memcmp(map->data + i, ours, n) == 0;
    return found ? sqzi_fail(m->error, SQZ_EUNSUPPORTED, 0,
                             "%s is a model file already: nothing is to be imported, use it as it "
                             "is",
                             m->given)
                 : sqzi_fail(m->error, SQZ_EUNSUPPORTED, 0,
                             "%s is a GGUF file of another program: import the Hugging Face folder "
                             "that it was made from",
                             m->given);
}

/* Is it weights by its name? Then these are read, and no others of the folder. */
static bool is_weights(const char *name)
{
    static const char *const endings[] = {".safetensors", ".safetensors.index.json",
                                          ".bin",         ".bin.index.json",
                                          ".pt",          ".pth",
                                          ".ckpt"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (sqzi_ends_with(name, endings[i])) return true;
    return false;
}

static sqz_status look_at_file(sqzi_importer *m)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = m->error;
    sqzi_file_map map = {NULL, 0};
    const char *slash = strrchr(m->given, '/'), *name = slash ? slash + 1 : m->given;
    TRY(sqzi_file_map_open(m->given, &map, error));
    if (map.bytes >= 4 && memcmp(map.data, "GGUF", 4) == 0) TRY(refuse_gguf(m, &map));
    const char *foreign = sqzi_foreign_file(name);
    FAIL_IF(foreign, SQZ_EUNSUPPORTED, 0, "%s is %s", m->given, foreign);
    FAIL_IF(strlen(m->given) >= SQZI_JSON_PATH, SQZ_ELIMIT, 0, "the path '%.100s...' is too long",
            m->given);
    if (is_weights(name)) m->weights = name;
    else
        FAIL_IF(!sqzi_ends_with(name, ".json") && !sqzi_ends_with(name, ".txt") &&
                    !sqzi_ends_with(name, ".md"),
                SQZ_EUNSUPPORTED, 0,
                "%s is no file of a model that is known: give the folder with config.json, the "
                "weights and the tokenizer",
                m->given);
    const size_t n = slash ? (size_t)(slash - m->given) : 0;
    snprintf(m->places.folder, sizeof m->places.folder, "%.*s", slash ? (int)n : 1,
             slash ? m->given : ".");
    if (slash == m->given) snprintf(m->places.folder, sizeof m->places.folder, "/.");
fail:
    sqzi_file_map_close(&map);
    return status;
}

/* ---- a folder of the Hub's cache ---- */

/* The commit of refs/main, where it can be read and its snapshot is there. */
static bool main_revision(const char *folder, char name[SQZI_FILE_NAME])
{
    char path[SQZI_JSON_PATH];
    sqzi_file_map map = {NULL, 0};
    size_t n = 0;
    if (sqzi_join_path(folder, "refs/main", path, NULL) != SQZ_OK ||
        sqzi_file_map_open(path, &map, NULL) != SQZ_OK)
        return false;
    while (n < map.bytes && n < SQZI_FILE_NAME - 1 && map.data[n] > ' ' && map.data[n] != '/') {
        name[n] = (char)map.data[n];
        n++;
    }
    name[n] = '\0';
    sqzi_file_map_close(&map);
    return n > 0 && name[0] != '.' &&
           snprintf(path, sizeof path, "%s/snapshots/%s", folder, name) > 0 &&
           sqzi_is_folder(path);
}

/* models--ORGANISATION--NAME with snapshots/REVISION: the snapshot of main, or the only one. */
static sqz_status follow_cache(sqzi_importer *m)
{
    char *folder = m->places.folder, snapshots[SQZI_JSON_PATH], name[SQZI_FILE_NAME];
    if (config_file_of(folder) || holds(folder, "modules.json")) return SQZ_OK;
    if (sqzi_ends_with(folder, "/snapshots")) *strrchr(folder, '/') = '\0';
    const size_t models = sqzi_folder_count(folder, "models--", "", name);
    if (models)
        return sqzi_fail(m->error, SQZ_EIO, 0,
                         "%s is a cache of %zu models: give the folder of one, such as %s/%s",
                         folder, models, folder, name);
    sqz_status status = enter(folder, "snapshots", snapshots, m->error);
    if (status != SQZ_OK || !sqzi_is_folder(snapshots)) return status;
    if (!main_revision(folder, name)) {
        const size_t n = sqzi_folder_count(snapshots, "", "", name);
        if (n != 1)
            return sqzi_fail(m->error, SQZ_EIO, 0,
                             "%s holds %zu snapshots and no refs/main that names one of them: %s",
                             folder, n, n ? "give one" : "download the model");
    }
    return enter(snapshots, name, folder, m->error);
}

/* The first folder of these below the transformer's that has a configuration. */
static bool below(const sqzi_importer *m, const char *beginning, char name[SQZI_FILE_NAME])
{
    char path[SQZI_JSON_PATH];
    return sqzi_folder_count(m->transformer, beginning, "", name) &&
           sqzi_join_path(m->transformer, name, path, NULL) == SQZ_OK && config_file_of(path);
}

/* ---- modules.json ---- */

static const char *last_name(const char *type)
{
    const char *dot = type ? strrchr(type, '.') : NULL;
    return dot ? dot + 1 : type ? type : "none";
}

/* The path of the Transformer among the modules, "" for the folder itself. A list without one is
 * for the reader of the modules to judge; where no configuration leads so far, it is refused here.
 */
static sqz_status transformer_path(const sqzi_importer *m, const json_t *modules, const char **path)
{
    /* BERT and DistilBERT: before sentence-transformers 0.3 */
    static const char *const names[] = {"Transformer", "BERT", "DistilBERT"};
    size_t i;
    const json_t *module;
    json_array_foreach (modules, i, module) {
        const char *name = last_name(json_string_value(json_object_get(module, "type")));
        for (size_t j = 0; j < sizeof names / sizeof *names; j++) {
            if (strcmp(name, names[j]) != 0) continue;
            const char *found = json_string_value(json_object_get(module, "path"));
            *path = found ? found : "";
            return SQZ_OK;
        }
    }
    char first[SQZI_FILE_NAME];
    if (config_file_of(m->folder) || below(m, "0_", first)) return SQZ_OK;
    return sqzi_fail(
        m->error, SQZ_EUNSUPPORTED, 0,
        "%s/modules.json: none of its modules is a Transformer, the first is '%s'", m->folder,
        last_name(json_string_value(json_object_get(json_array_get(modules, 0), "type"))));
}

static sqz_status follow_modules(sqzi_importer *m)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = m->error;
    json_t *modules = NULL;
    const char *path = "";
    TRY(sqzi_json_load(m->folder, "modules.json", false, &modules, error));
    /* what is no list, or an empty one, is for the reader of the modules to judge */
    if (json_array_size(modules)) TRY(transformer_path(m, modules, &path));
    while (path[0] == '.' && path[1] == '/') path += 2;
    FAIL_IF(path[0] == '/' || strstr(path, ".."), SQZ_EFORMAT, 0,
            "%s/modules.json: the Transformer's path '%.200s' leaves the folder", m->folder, path);
    if (path[0] && strcmp(path, ".") != 0) {
        TRY(enter(m->folder, path, m->places.transformer, error));
        FAIL_IF(!sqzi_is_folder(m->places.transformer), SQZ_EIO, 0,
                "%s/modules.json places the Transformer in '%s', which is no folder there: "
                "download it as well",
                m->folder, path);
    }
fail:
    json_decref(modules);
    return status;
}

/* ---- config.json ---- */

static sqz_status fail_no_config(const sqzi_importer *m)
{
    static const char *const usual[] = {"model",       "bert",       "saved_model",
                                        "transformer", "checkpoint", "0_"};
    char name[SQZI_FILE_NAME];
    if (below(m, "checkpoint-", name))
        return sqzi_fail(m->error, SQZ_EIO, 0,
                         "%s is the output of a trainer, without config.json: give one of its "
                         "checkpoints, such as %s/%s",
                         m->transformer, m->transformer, name);
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        if (below(m, usual[i], name))
            return sqzi_fail(m->error, SQZ_EIO, 0,
                             "%s/config.json: cannot open: No such file or directory; %s/%s has "
                             "one: give that folder",
                             m->transformer, m->transformer, name);
    if (holds(m->transformer, "adapter_config.json"))
        return sqzi_fail(m->error, SQZ_EIO, 0,
                         "%s holds an adapter (PEFT) and no model: merge it into its model "
                         "(merge_and_unload, save_pretrained) and import that",
                         m->transformer);
    return sqzi_fail(m->error, SQZ_EIO, 0,
                     "%s/config.json: cannot open: No such file or directory; a Hugging Face "
                     "folder has it, the weights and the tokenizer",
                     m->transformer);
}

static sqz_status find_config(sqzi_importer *m)
{
    char name[SQZI_FILE_NAME];
    m->config_file = config_file_of(m->transformer);
    if (m->config_file) return SQZ_OK;
    /* a sentence-transformers folder of before 2.0 that has lost its modules.json */
    if (m->transformer == m->folder && below(m, "0_", name)) {
        const sqz_status status = enter(m->folder, name, m->places.transformer, m->error);
        m->transformer = m->places.transformer;
        m->config_file = config_file_of(m->transformer);
        return status;
    }
    return fail_no_config(m);
}

/* Is it a name on the Hub, or an address, which would have to be downloaded? */
static bool is_of_the_hub(const char *given)
{
    if (sqzi_starts_with(given, "http://") || sqzi_starts_with(given, "https://")) return true;
    const char *slash = strchr(given, '/');
    return given[0] && given[0] != '.' && slash != given &&
           (!slash || (slash[1] && !strchr(slash + 1, '/')));
}

static sqz_status fail_not_there(const sqzi_importer *m)
{
    sqzi_file_map map;
    if (!m->given[0])
        return sqzi_fail(m->error, SQZ_EIO, 0, "the name of the folder to import is empty");
    if (sqzi_file_exists(m->given)) /* a link */
        return sqzi_file_map_open(m->given, &map, m->error);
    return sqzi_fail(m->error, SQZ_EIO, 0, "%s: cannot open: No such file or directory%s", m->given,
                     is_of_the_hub(m->given)
                         ? "; a folder of this machine is imported: to get a model of the Hugging "
                           "Face Hub, download it first (hf download NAME --local-dir FOLDER)"
                         : "");
}

/* The Transformer's folder of a sentence-transformers folder was named, not that folder. */
static void tell_outer(const sqzi_importer *m)
{
    const char *slash = strrchr(m->folder, '/'), *name = slash ? slash + 1 : m->folder;
    char outer[SQZI_JSON_PATH];
    if (!sqzi_starts_with(name, "0_") || m->transformer != m->folder) return;
    snprintf(outer, sizeof outer, "%.*s", slash > m->folder ? (int)(slash - m->folder) : 1,
             slash ? m->folder : ".");
    if (holds(outer, "modules.json"))
        sqzi_import_note(m,
                         "%s is a part of a sentence-transformers folder, and read as a plain "
                         "model: give %s for its pooling",
                         m->folder, outer);
}

sqz_status sqzi_import_locate(sqzi_importer *m)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = m->error;
    const int n = snprintf(m->places.folder, SQZI_JSON_PATH, "%s", m->given);
    FAIL_IF(n < 0 || n >= SQZI_JSON_PATH, SQZ_ELIMIT, 0, "the path '%.100s...' is too long",
            m->given);
    m->folder = m->transformer = m->places.folder;
    for (size_t i = strlen(m->places.folder); i > 1 && m->places.folder[i - 1] == '/'; i--)
        m->places.folder[i - 1] = '\0';
    if (access(m->given, F_OK) != 0 && errno == ENOENT) return fail_not_there(m);
    if (!sqzi_is_folder(m->given)) TRY(look_at_file(m));
    TRY(follow_cache(m));
    if (holds(m->folder, "modules.json")) TRY(follow_modules(m));
    if (m->places.transformer[0]) m->transformer = m->places.transformer;
    TRY(find_config(m));
    tell_outer(m);
fail:
    return status;
}
