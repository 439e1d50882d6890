/* SPDX-License-Identifier: Apache-2.0 */
/* A classifier as modules of sentence-transformers behind an encoder without a head. Their names in
 * modules.json say what they are; where these are not all there, in order and of the right kind,
 * modules are what they are in any folder: layers of embeddings, with the same numbers. */
#include <string.h>

#include "base/error.h"

#include "import/importer.h"

static const char *text_of(const json_t *module, const char *key)
{
    const char *text = json_string_value(json_object_get(module, key));
    return text ? text : "";
}

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), k = strlen(end);
    return n >= k && strcmp(text + n - k, end) == 0;
}

/* Transformer, Pooling, and parts of a head in their order up to the last one. */
static bool is_head(const json_t *modules)
{
    const size_t n = json_array_size(modules);
    const sqzi_word_pair *next = sqzi_head_modules;
    if (n < 3 || !ends_with(text_of(json_array_get(modules, 1), "type"), ".Pooling")) return false;
    for (size_t i = 2; i < n; i++) {
        const json_t *module = json_array_get(modules, i);
        while (next->theirs && strcmp(next->theirs, text_of(module, "name")) != 0) next++;
        if (!next->theirs) return false;
        const bool norm = strcmp(next->theirs, "head_norm") == 0;
        if (!ends_with(text_of(module, "type"), norm ? ".LayerNorm" : ".Dense")) return false;
        next++;
    }
    return !next->theirs;
}

sqz_status sqzi_import_find_head_beside(sqzi_importer *m)
{
    json_t *modules = NULL;
    const bool of_class = m->options.head == SQZ_IMPORT_HEAD_OF_CLASS;
    if (of_class ? m->head != SQZ_HEAD_NONE : m->options.head != SQZ_IMPORT_HEAD_SEQUENCE)
        return SQZ_OK;
    const sqz_status status = sqzi_json_load(m->folder, "modules.json", false, &modules, m->error);
    if (status == SQZ_OK && is_head(modules)) {
        m->head = SQZ_HEAD_SEQUENCE;
        m->head_beside = true;
        m->pooler_beside = strcmp(text_of(json_array_get(modules, 2), "name"), "pooler") == 0;
    }
    json_decref(modules);
    return status;
}

sqz_status sqzi_import_head_pool(const sqzi_importer *m, const char *file, const char *mode)
{
    if (m->pooler_beside && strcmp(mode, "cls") != 0)
        return sqzi_fail(m->error, SQZ_EFORMAT, 0,
                         "%s: the pooling before the module 'pooler' is '%s', 'cls' expected", file,
                         mode);
    sqzi_gguf_put_string(m->writer, "sqz.head.pool", m->pooler_beside ? "pooler" : mode);
    return SQZ_OK;
}

sqz_status sqzi_import_head_layer(const sqzi_importer *m, const char *file, const char *part,
                                  const char *word)
{
    const char *expected = strcmp(part, "pooler") == 0        ? "dense_tanh"
                           : strcmp(part, "head.output") == 0 ? "dense"
                                                              : NULL;
    if (!word) {
        sqzi_gguf_put_f64(m->writer, "sqz.head.norm_epsilon", SQZI_MODULE_NORM_EPSILON);
        return SQZ_OK;
    }
    if (!expected) {
        /* "dense_gelu" is dense and GELU */
        const char *activation = strchr(word, '_');
        sqzi_gguf_put_string(m->writer, "sqz.head.activation",
                             activation ? activation + 1 : "identity");
    } else if (strcmp(word, expected) != 0)
        return sqzi_fail(m->error, SQZ_EFORMAT, 0,
                         "%s: the activation_function of a head's '%s' must be %s", file, part,
                         sqzi_their_word(sqzi_dense_words, expected));
    return SQZ_OK;
}
