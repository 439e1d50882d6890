/* SPDX-License-Identifier: Apache-2.0 */
/* modules.json of sentence-transformers, in every spelling since 2019: what stands behind the
 * Transformer. Every Pooling begins anew from the tokens, so only the last one counts, with what is
 * behind it. What cannot be run is refused by name, and so is a key that is not known. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "import/importer.h"
#include "model/context.h"

typedef enum kind { TRANSFORMER, POOLING, NORMALIZE, DENSE, NORM, DROPOUT, KINDS } kind;

/* "BERT" and "DistilBERT" are what a Transformer was called at first. */
static const struct {
    const char *name;
    kind kind;
} known[] = {{"Transformer", TRANSFORMER}, {"BERT", TRANSFORMER},    {"DistilBERT", TRANSFORMER},
             {"Pooling", POOLING},         {"Normalize", NORMALIZE}, {"Dense", DENSE},
             {"LayerNorm", NORM},          {"Dropout", DROPOUT}};

typedef struct module {
    kind kind;
    const char *path, *name;
    char file[256]; /* of its settings */
    json_t *config; /* NULL where there are none */
} module;

/* The layers behind the pooling as they are put together. */
typedef struct chain {
    sqzi_importer *importer;
    sqzi_span words[SQZI_MOST_MODULES];
    uint32_t n, width;
} chain;

static sqz_status find_kind(const sqzi_importer *m, const char *type, size_t place, kind *out)
{
    static const char package[] = "sentence_transformers.";
    const char *name = strrchr(type, '.') ? strrchr(type, '.') + 1 : type;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strncmp(type, package, sizeof package - 1) != 0 || strcmp(name, known[i].name) != 0)
            continue;
        *out = known[i].kind;
        if ((place == 0) == (*out == TRANSFORMER)) return SQZ_OK;
        return sqzi_fail(m->error, SQZ_EUNSUPPORTED, 0,
                         "modules.json: module %zu is '%s': one Transformer must come first, and "
                         "others behind it",
                         place, type);
    }
    return sqzi_fail(m->error, SQZ_EUNSUPPORTED, 0,
                     "modules.json: the module '%s' cannot be run; Transformer, Pooling, Dense, "
                     "LayerNorm, Normalize and Dropout of sentence_transformers can",
                     type);
}

/* A path below the folder, in the syntax of any system. */
static bool stays_inside(const char *path)
{
    if (path[0] == '/' || path[0] == '\\' || strchr(path, ':')) return false;
    for (const char *at = path; (at = strstr(at, "..")); at += 2)
        if ((at == path || at[-1] == '/' || at[-1] == '\\') && (!at[2] || strchr("/\\", at[2])))
            return false;
    return true;
}

static sqz_status read_module(const sqzi_importer *m, const json_t *entry, size_t place,
                              module *out)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = m->error;
    const char *type = json_string_value(json_object_get(entry, "type"));
    *out = (module){.path = json_string_value(json_object_get(entry, "path")),
                    .name = json_string_value(json_object_get(entry, "name"))};
    FAIL_IF(!type || !out->path || !stays_inside(out->path) || strlen(out->path) > 200, SQZ_EFORMAT,
            0,
            "modules.json: module %zu has no type, or no path below the folder: "
            "{\"name\", \"path\", \"type\"} expected",
            place);
    TRY(find_kind(m, type, place, &out->kind));
    if (out->kind == TRANSFORMER || out->kind == DROPOUT) return SQZ_OK;
    snprintf(out->file, sizeof out->file, "%s%sconfig.json", out->path, *out->path ? "/" : "");
    TRY(sqzi_json_load(m->folder, out->file, out->kind != NORMALIZE, &out->config, error));
    FAIL_IF(out->config && !json_is_object(out->config), SQZ_EFORMAT, 0, "%s is no JSON object",
            out->file);
fail:
    return status;
}

/* Refuse keys that are none of `names`, a list ended by NULL. */
static sqz_status check_keys(const sqzi_importer *m, const module *from, const char *const *names)
{
    const char *key;
    json_t *value;
    json_object_foreach (from->config, key, value) {
        size_t i = 0;
        while (names[i] && strcmp(names[i], key) != 0) i++;
        if (!names[i])
            return sqzi_fail(m->error, SQZ_EUNSUPPORTED, 0,
                             "%s: '%s' is not known: what it asks for cannot be run", from->file,
                             key);
    }
    return SQZ_OK;
}

/* A module that reads or writes anything but the sentence's embedding. */
static sqz_status check_features(const sqzi_importer *m, const module *from)
{
    static const char *const keys[] = {"module_input_name", "module_output_name"};
    for (size_t i = 0; i < 2; i++) {
        const char *name = "sentence_embedding";
        const sqz_status status = sqzi_json_string(from->config, from->file, keys[i], false, &name,
                                                   m->error);
        if (status != SQZ_OK) return status;
        if (strcmp(name, "sentence_embedding") != 0)
            return sqzi_fail(m->error, SQZ_EUNSUPPORTED, 0,
                             "%s: %s '%s' cannot be run: only 'sentence_embedding' can", from->file,
                             keys[i], name);
    }
    return SQZ_OK;
}

static bool is_true(const json_t *value)
{
    return json_is_true(value) || (json_is_number(value) && json_number_value(value) != 0);
}

/* The mode of the older files: a flag each, of which none means the mean. */
static sqz_status find_flag(const sqzi_importer *m, const module *from, const char **mode)
{
    for (const sqzi_word_pair *pair = sqzi_pooling_modes; pair->ours; pair++) {
        if (!is_true(json_object_get(from->config, pair->theirs))) continue;
        if (*mode)
            return sqzi_fail(m->error, SQZ_EUNSUPPORTED, 0,
                             "%s: '%s' is set, beside another mode: poolings set side by side "
                             "cannot be run, one alone can",
                             from->file, pair->theirs);
        *mode = pair->ours;
    }
    return SQZ_OK;
}

static sqz_status read_pooling(sqzi_importer *m, const module *from)
{
    static const char *const keys[] = {"word_embedding_dimension",
                                       "embedding_dimension",
                                       "pooling_mode",
                                       "include_prompt",
                                       "pooling_mode_cls_token",
                                       "pooling_mode_max_tokens",
                                       "pooling_mode_mean_tokens",
                                       "pooling_mode_mean_sqrt_len_tokens",
                                       "pooling_mode_weightedmean_tokens",
                                       "pooling_mode_lasttoken",
                                       NULL};
    sqz_status status = SQZ_OK;
    sqz_error *error = m->error;
    const json_t *given = json_object_get(from->config, "pooling_mode");
    const char *mode = NULL;
    bool include_prompt = true;
    TRY(check_keys(m, from, keys));
    TRY(sqzi_json_bool(from->config, from->file, "include_prompt", &include_prompt, error));
    FAIL_IF(
        json_array_size(given) > 1, SQZ_EUNSUPPORTED, 0,
        "%s: pooling_mode has %zu words: poolings set side by side cannot be run, one alone can",
        from->file, json_array_size(given));
    if (json_array_size(given) == 1) given = json_array_get(given, 0);
    if (given) {
        const char *word = json_string_value(given);
        mode = word ? sqzi_our_word(sqzi_pooling_words, word) : NULL;
        FAIL_IF(!mode, SQZ_EUNSUPPORTED, 0,
                "%s: pooling_mode '%s' is not known; mean, cls, max, mean_sqrt_len_tokens, "
                "weightedmean and lasttoken are",
                from->file, word ? word : "");
    } else {
        TRY(find_flag(m, from, &mode));
    }
    if (!mode) mode = "mean";
    if (m->head_beside) return sqzi_import_head_pool(m, from->file, mode);
    sqzi_gguf_put_string(m->writer, "sqz.pool", mode);
    if (include_prompt) return SQZ_OK;
    sqzi_gguf_put_bool(m->writer, "sqz.include_prompt", false);
    m->features[m->n_features++] = "exclude_prompt";
fail:
    return status;
}

/* The part of the head that a module is; NULL: it is a layer of embeddings. */
static const char *part_of(const sqzi_importer *m, const module *from)
{
    return m->head_beside && from->name ? sqzi_our_word(sqzi_head_modules, from->name) : NULL;
}

/* Tensors of a module's own file; each must be asked for. */
static sqz_status import_weights(chain *c, const module *from, const char *prefix, uint32_t columns,
                                 uint32_t rows, bool bias)
{
    sqz_status status = SQZ_OK;
    sqzi_importer *m = c->importer;
    sqz_error *error = m->error;
    char path[SQZI_JSON_PATH], layer[32], ours[48], theirs[32];
    const char *part = part_of(m, from);
    sqzi_source *source = &m->modules[m->n_modules++];
    snprintf(layer, sizeof layer, "embd_step.%u", (unsigned)c->n);
    TRY(sqzi_join_path(m->folder, from->path, path, error));
    TRY(sqzi_source_open(&m->context->allocator, path, NULL, source, error));
    for (int i = 0; i < (bias ? 2 : 1); i++) {
        snprintf(ours, sizeof ours, "%s.%s", part ? part : layer, i ? "bias" : "weight");
        snprintf(theirs, sizeof theirs, "%s.%s", prefix, i ? "bias" : "weight");
        const bool weight = !i && columns;
        sqzi_source_tensor *tensor = sqzi_source_find(source, theirs);
        FAIL_IF(!tensor, SQZ_EFORMAT, 0, "%s: the tensor '%s' is missing", path, theirs);
        TRY(sqzi_import_found(
            m, (sqzi_wanted){ours, theirs, rows, weight ? columns : 0, weight, true}, tensor));
    }
    for (uint32_t i = 0; i < sqzi_source_n(source); i++)
        FAIL_IF(!sqzi_source_at(source, i)->used, SQZ_EFORMAT, 0,
                "%s: the tensor '%s' belongs to no part of the module", path,
                sqzi_source_at(source, i)->name);
fail:
    return status;
}

static sqz_status read_dense(chain *c, const module *from)
{
    static const char *const keys[] = {
        "in_features",       "out_features",       "bias",         "activation_function",
        "module_input_name", "module_output_name", "use_residual", NULL};
    sqz_status status = SQZ_OK;
    const sqzi_importer *m = c->importer;
    sqz_error *error = m->error;
    uint32_t n_in = 0, n_out = 0;
    bool bias = true, residual = false;
    const char *activation = "torch.nn.modules.activation.Tanh";
    TRY(check_keys(m, from, keys));
    TRY(sqzi_json_uint(from->config, from->file, "in_features", true, &n_in, error));
    TRY(sqzi_json_uint(from->config, from->file, "out_features", true, &n_out, error));
    TRY(sqzi_json_bool(from->config, from->file, "bias", &bias, error));
    TRY(sqzi_json_bool(from->config, from->file, "use_residual", &residual, error));
    TRY(sqzi_json_string(from->config, from->file, "activation_function", false, &activation,
                         error));
    FAIL_IF(residual, SQZ_EUNSUPPORTED, 0, "%s: use_residual cannot be run", from->file);
    FAIL_IF(n_in != c->width || n_out < 1 || n_out > 1 << 16, SQZ_EFORMAT, 0,
            "%s: from %u to %u numbers: it is handed %u, and may make 65536", from->file, n_in,
            n_out, c->width);
    const char *word = sqzi_our_word(sqzi_dense_words, activation);
    FAIL_IF(!word, SQZ_EUNSUPPORTED, 0,
            "%s: activation_function '%s' cannot be run; Identity, Tanh, ReLU and GELU of torch.nn "
            "can",
            from->file, activation);
    if (part_of(m, from)) TRY(sqzi_import_head_layer(m, from->file, part_of(m, from), word));
    TRY(import_weights(c, from, "linear", n_in, n_out, bias));
    c->words[c->n] = sqzi_span_of(word);
    c->width = n_out;
fail:
    return status;
}

static sqz_status read_norm(chain *c, const module *from)
{
    static const char *const keys[] = {"dimension", NULL};
    sqz_status status = SQZ_OK;
    sqz_error *error = c->importer->error;
    uint32_t n = 0;
    TRY(check_keys(c->importer, from, keys));
    TRY(sqzi_json_uint(from->config, from->file, "dimension", true, &n, error));
    FAIL_IF(n != c->width, SQZ_EFORMAT, 0, "%s: of %u numbers, it is handed %u", from->file, n,
            c->width);
    if (part_of(c->importer, from))
        TRY(sqzi_import_head_layer(c->importer, from->file, part_of(c->importer, from), NULL));
    TRY(import_weights(c, from, "norm", 0, n, true));
    c->words[c->n] = sqzi_span_of("norm");
fail:
    return status;
}

static sqz_status add_step(chain *c, const module *from)
{
    sqz_status status = SQZ_OK;
    if (from->kind == DROPOUT) return SQZ_OK; /* none but while training */
    if (c->n == SQZI_MOST_MODULES)
        return sqzi_fail(c->importer->error, SQZ_ELIMIT, 0,
                         "modules.json: more than %d modules behind the Pooling",
                         SQZI_MOST_MODULES);
    if (from->kind == NORMALIZE) c->words[c->n] = sqzi_span_of("normalize");
    else status = from->kind == DENSE ? read_dense(c, from) : read_norm(c, from);
    c->n++;
    return status;
}

/* A Normalize at the end is sqz.normalize, which a caller may switch off; one whose numbers are not
 * all kept is a step like others. */
static void put_chain(chain *c, uint32_t n_kept)
{
    sqzi_gguf_writer *w = c->importer->writer;
    const bool normalize = c->n && sqzi_span_is(c->words[c->n - 1], "normalize") && !n_kept;
    if (normalize) c->n--;
    sqzi_gguf_put_bool(w, "sqz.normalize", normalize);
    if (c->n) sqzi_gguf_put_strings(w, "sqz.embed.steps", c->words, c->n);
    if (n_kept && n_kept < c->width) sqzi_gguf_put_u32(w, "sqz.dimensions", n_kept);
}

/* The last Pooling; 0: there is none. */
static size_t find_pooling(const json_t *modules)
{
    static const char name[] = ".Pooling";
    for (size_t i = json_array_size(modules); i-- > 1;) {
        const char *type = json_string_value(json_object_get(json_array_get(modules, i), "type"));
        const size_t n = type ? strlen(type) : 0;
        if (n >= sizeof name && strcmp(type + n - (sizeof name - 1), name) == 0) return i;
    }
    return 0;
}

/* Module `place`, the last Pooling being module `pooling`. */
static sqz_status run_module(chain *c, const module *from, size_t place, size_t pooling)
{
    sqzi_importer *m = c->importer;
    const bool behind = pooling && place > pooling;
    if (from->kind == TRANSFORMER) return SQZ_OK;
    if (from->kind == DENSE || from->kind == NORMALIZE) {
        const sqz_status status = check_features(m, from);
        if (status != SQZ_OK) return status;
    }
    if (place == pooling) return read_pooling(m, from);
    if (behind) return add_step(c, from);
    if (!pooling && from->kind != NORMALIZE)
        return sqzi_fail(m->error, SQZ_EFORMAT, 0,
                         "modules.json: '%s' stands there without a Pooling before it", from->path);
    if (from->kind != DROPOUT)
        sqzi_import_note(m, "modules.json: '%s' has no effect: a Pooling behind it begins anew",
                         from->path);
    return SQZ_OK;
}

sqz_status sqzi_import_modules(sqzi_importer *m, const json_t *modules, uint32_t n_kept)
{
    sqz_status status = SQZ_OK;
    const size_t pooling = find_pooling(modules);
    chain c = {.importer = m, .width = m->width};
    if (!json_array_size(modules))
        return sqzi_fail(m->error, SQZ_EFORMAT, 0,
                         "modules.json is no list of modules: [{\"idx\", \"name\", \"path\", "
                         "\"type\"}, ..] expected");
    for (size_t i = 0; i < json_array_size(modules) && status == SQZ_OK; i++) {
        module one;
        status = read_module(m, json_array_get(modules, i), i, &one);
        if (status == SQZ_OK) status = run_module(&c, &one, i, pooling);
        json_decref(one.config);
    }
    if (status != SQZ_OK) return status;
    if (!pooling && m->head == SQZ_HEAD_NONE)
        sqzi_import_note(m, "modules.json has no Pooling: embeddings are pooled by mean");
    if (m->head_beside) {
        m->classes = c.width;
        return sqzi_import_classes(m);
    }
    put_chain(&c, n_kept);
    return SQZ_OK;
}
