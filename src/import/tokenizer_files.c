/* SPDX-License-Identifier: Apache-2.0 */
/* The tokenizer of a folder, as AutoTokenizer of Transformers 5.23.0 makes it from the same files.
 *
 * The class is tokenizer_class of tokenizer_config.json, else of config.json, else BertTokenizer
 * (tokenizer_class.c).
 *
 *   BertTokenizer: the vocabulary of tokenizer.json, else of vocab.txt, and nothing else of them.
 *       Normaliser: do_lower_case (true), strip_accents (as do_lower_case), tokenize_chinese_chars
 *       (true) of tokenizer_config.json. Template: cls_token and sep_token. "##" and 100
 *       characters a word, always.
 *   TokenizersBackend (a class that is not known, or PreTrainedTokenizerFast): tokenizer.json as
 *       it stands; without it nothing can be made.
 *   Any other class is refused.
 *
 * Both then add tokens from all files (added_files.c). Padding and truncation are the caller's;
 * model_max_length is read with the other lengths (sentence_files.c). */
#define _POSIX_C_SOURCE 200809L /* stat */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file_map.h"
#include "import/lfs_pointer.h"
#include "import/tokenizer_draft.h"
#include "text/vocabulary.h"

/* Where the files are: the model's folder, or what the option says. */
typedef struct place {
    char folder[SQZI_JSON_PATH], json_folder[SQZI_JSON_PATH];
    const char *json, *lines; /* names in json_folder; NULL: not to be looked for */
    bool elsewhere;
} place;

typedef struct reading {
    const sqzi_importer *m;
    place at;
    sqzi_tokenizer_files files;
    json_t *model_config; /* config.json beside the tokenizer; borrowed unless elsewhere */
    const char *class_name;
    sqzi_tokenizer_kind kind;
    char *text; /* of vocab.txt */
    size_t bytes;
    sqzi_tokenizer_draft draft;
} reading;

static sqz_status find_place(const sqzi_importer *m, place *at)
{
    struct stat facts;
    const char *path = m->options.tokenizer, *slash;
    *at = (place){.json = "tokenizer.json", .lines = "vocab.txt"};
    const int n = snprintf(at->folder, sizeof at->folder, "%s", m->transformer);
    if (n < 0 || n >= (int)sizeof at->folder || (path && strlen(path) >= sizeof at->folder))
        return sqzi_fail(m->error, SQZ_ELIMIT, 0, "the path '%.100s...' is too long",
                         path ? path : m->transformer);
    snprintf(at->json_folder, sizeof at->json_folder, "%s", m->transformer);
    if (!path) return SQZ_OK;
    if (stat(path, &facts) != 0)
        return sqzi_fail(m->error, SQZ_EIO, 0, "%s: there is no such tokenizer file or folder",
                         path);
    if (S_ISDIR(facts.st_mode)) {
        at->elsewhere = true;
        snprintf(at->folder, sizeof at->folder, "%s", path);
        snprintf(at->json_folder, sizeof at->json_folder, "%s", path);
        return SQZ_OK;
    }
    /* one file: the settings stay those of the model's folder */
    slash = strrchr(path, '/');
    snprintf(at->json_folder, sizeof at->json_folder, "%.*s", slash ? (int)(slash - path) : 1,
             slash ? path : ".");
    if (slash == path) snprintf(at->json_folder, sizeof at->json_folder, "/");
    const char *name = slash ? slash + 1 : path;
    const size_t length = strlen(name);
    const bool json = length > 5 && strcmp(name + length - 5, ".json") == 0;
    at->json = json ? name : NULL;
    at->lines = json ? NULL : name;
    return SQZ_OK;
}

static sqz_status load_files(reading *r)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = r->m->error;
    const char *folder = r->at.folder;
    TRY(sqzi_json_load(folder, "tokenizer_config.json", false, &r->files.config, error));
    TRY(sqzi_json_load(folder, "special_tokens_map.json", false, &r->files.special_map, error));
    FAIL_IF(r->files.config && !json_is_object(r->files.config), SQZ_EFORMAT, 0,
            "%s/tokenizer_config.json is no JSON object", folder);
    FAIL_IF(r->files.special_map && !json_is_object(r->files.special_map), SQZ_EFORMAT, 0,
            "%s/special_tokens_map.json is no JSON object", folder);
    TRY(sqzi_json_load(folder, "added_tokens.json", false, &r->files.added, error));
    if (r->at.json)
        TRY(sqzi_json_load(r->at.json_folder, r->at.json, false, &r->files.json, error));
    if (r->at.elsewhere) TRY(sqzi_json_load(folder, "config.json", false, &r->model_config, error));
    else r->model_config = json_incref(r->m->config);
    const json_t *versions = json_object_get(r->files.config, "fast_tokenizer_files");
    FAIL_IF(json_array_size(versions) > 1, SQZ_EUNSUPPORTED, 0,
            "%s/tokenizer_config.json: fast_tokenizer_files names a tokenizer.json for each of "
            "several versions of Transformers; give the one to take by --tokenizer",
            folder);
fail:
    return status;
}

/* tokenizer_class of one of the two configs. An unknown model type has no class of its own:
 * tokenizer.json is all there is to go by. */
static sqz_status find_class(reading *r)
{
    static const char key[] = "tokenizer_class";
    const sqzi_importer *m = r->m;
    sqz_status status = SQZ_OK;
    const char *where = "tokenizer_config.json";
    TRY(sqzi_json_string(r->files.config, where, key, false, &r->class_name, m->error));
    if (!r->class_name) {
        where = "config.json";
        TRY(sqzi_json_string(r->model_config, where, key, false, &r->class_name, m->error));
    }
    if (!r->class_name) {
        const bool typed = json_is_string(json_object_get(r->model_config, "model_type"));
        r->kind = r->files.json && !typed && r->model_config ? SQZI_TOKENIZER_JSON
                                                             : SQZI_TOKENIZER_BERT;
        return SQZ_OK;
    }
    r->kind = sqzi_tokenizer_kind_of(r->class_name);
    if (r->kind == SQZI_TOKENIZER_OTHER)
        return sqzi_fail(m->error, SQZ_EUNSUPPORTED, 0,
                         "%s/%s: the tokenizer is a %.60s, which does not cut words as BERT's "
                         "does; BertTokenizer and its like, and PreTrainedTokenizerFast with a "
                         "WordPiece tokenizer.json, can be run",
                         r->at.folder, where, r->class_name);
fail:
    return status;
}

static bool has_file(const reading *r, const char *name)
{
    char path[SQZI_JSON_PATH];
    return sqzi_join_path(r->at.folder, name, path, NULL) == SQZ_OK && sqzi_file_exists(path);
}

/* Whose vocabulary has as many pieces as the model embeds: a hint. */
static const char *known_vocabulary(uint32_t n)
{
    static const struct {
        uint32_t n;
        const char *name;
    } known[] = {{30522, "bert-base-uncased"},
                 {28996, "bert-base-cased"},
                 {119547, "bert-base-multilingual-cased"},
                 {105879, "bert-base-multilingual-uncased"},
                 {21128, "bert-base-chinese"},
                 {30528, "squeezebert-uncased"},
                 {31102, "bert-base-german-dbmdz-cased"},
                 {31090, "scibert_scivocab_uncased"},
                 {35000, "koelectra-base-v3"}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].n == n) return known[i].name;
    return NULL;
}

static sqz_status no_files(const reading *r)
{
    static const char *const others[][2] = {
        {"tokenizer.model", "SentencePiece's, the kind of XLM-RoBERTa and ALBERT"},
        {"sentencepiece.bpe.model", "SentencePiece's, the kind of XLM-RoBERTa and ALBERT"},
        {"spiece.model", "SentencePiece's, the kind of XLM-RoBERTa and ALBERT"},
        {"merges.txt", "BPE, the kind of RoBERTa and GPT-2"},
        {"vocab.json", "BPE, the kind of RoBERTa and GPT-2"}};
    const char *like = known_vocabulary(r->m->vocabulary);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (has_file(r, others[i][0]))
            return sqzi_fail(r->m->error, SQZ_EUNSUPPORTED, 0,
                             "%s/%s: the tokenizer is %s, not BERT's WordPiece: a model with it "
                             "cannot be run",
                             r->at.folder, others[i][0], others[i][1]);
    return sqzi_fail(r->m->error, SQZ_EIO, 0,
                     "%s: no tokenizer in the folder: tokenizer.json or vocab.txt of the model "
                     "that this one was trained from is needed (its vocabulary of %u is %s%s); "
                     "copy it there, or say where it is by --tokenizer",
                     r->at.folder, r->m->vocabulary,
                     like ? "as large as that of " : "none of the usual ones", like ? like : "");
}

static bool has_lines(const reading *r)
{
    char path[SQZI_JSON_PATH];
    return r->at.lines && sqzi_join_path(r->at.json_folder, r->at.lines, path, NULL) == SQZ_OK &&
           sqzi_file_exists(path);
}

static sqz_status read_text(reading *r)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = r->m->error;
    char path[SQZI_JSON_PATH];
    sqzi_file_map map = {NULL, 0};
    TRY(sqzi_join_path(r->at.json_folder, r->at.lines, path, error));
    TRY(sqzi_file_map_open(path, &map, error));
    FAIL_IF(map.bytes > 256u << 20, SQZ_ELIMIT, 0, "%s has %zu bytes, at most 256 MiB are read",
            path, map.bytes);
    if (sqzi_is_lfs_pointer(map.data, map.bytes)) {
        status = sqzi_lfs_pointer_fail(path, error);
        goto fail;
    }
    r->text = sqzi_allocate(r->m->source.allocator, map.bytes + 1);
    FAIL_IF(!r->text, SQZ_ENOMEM, 0, "no memory for %zu bytes of vocabulary", map.bytes);
    r->bytes = map.bytes;
    if (map.bytes) memcpy(r->text, map.data, map.bytes);
fail:
    sqzi_file_map_close(&map);
    return status;
}

/* At most this many tokens can the files add. */
static size_t count_tokens(const sqzi_tokenizer_files *files)
{
    static const char *const keys[] = {"added_tokens_decoder", "extra_special_tokens",
                                       "additional_special_tokens"};
    const json_t *const configs[] = {files->config, files->special_map};
    size_t n = 16 + json_object_size(files->added) +
               json_array_size(json_object_get(files->json, "added_tokens"));
    for (int i = 0; i < 2; i++) {
        n += json_object_size(configs[i]);
        for (int k = 0; k < 3; k++) {
            const json_t *list = json_object_get(configs[i], keys[k]);
            n += json_object_size(list) + json_array_size(list);
        }
    }
    return n;
}

static sqz_status read_files(reading *r)
{
    sqz_status status = SQZ_OK;
    const sqzi_importer *m = r->m;
    sqz_error *error = m->error;
    sqzi_tokenizer_draft *d = &r->draft;
    const bool as_it_stands = r->kind == SQZI_TOKENIZER_JSON;
    const json_t *vocabulary = json_object_get(json_object_get(r->files.json, "model"), "vocab");
    if (!r->files.json && !has_lines(r)) return no_files(r);
    FAIL_IF(as_it_stands && !r->files.json, SQZ_EUNSUPPORTED, 0,
            "%s: a tokenizer of the class %.60s is made from tokenizer.json, which is not there; "
            "if vocab.txt is BERT's, set tokenizer_class to BertTokenizer in %s",
            r->at.folder, r->class_name,
            json_object_get(r->files.config, "tokenizer_class") ? "tokenizer_config.json"
                                                                : "config.json");
    if (!r->files.json) TRY(read_text(r));
    TRY(sqzi_tokenizer_draft_open(m, r->files.json ? "tokenizer.json" : r->at.lines,
                                  r->files.json ? (uint32_t)json_object_size(vocabulary)
                                                : sqzi_count_lines(r->text, r->bytes),
                                  count_tokens(&r->files), d));
    if (!as_it_stands) TRY(sqzi_read_bert_settings(d, r->files.config));
    TRY(sqzi_read_common_settings(d, &r->files, r->kind));
    TRY(r->files.json ? sqzi_read_tokenizer_json(d, r->files.json, as_it_stands)
                      : sqzi_read_lines(d, r->text, r->bytes));
    TRY(sqzi_add_tokens(d, &r->files, r->kind));
fail:
    return status;
}

/* sentence-transformers puts a Lowercase before the normaliser: the same as one that lowers, since
 * accents and letters are each stripped and lowered by themselves. */
static void put_embed_lowercase(sqzi_importer *m)
{
    sqzi_gguf_put_bool(m->writer, "sqz.embed.lowercase", true);
    m->features[m->n_features++] = "embed_lowercase";
}

sqz_status sqzi_import_tokenizer(sqzi_importer *m)
{
    sqz_status status = SQZ_OK;
    reading r = {.m = m};
    TRY(find_place(m, &r.at));
    TRY(load_files(&r));
    TRY(find_class(&r));
    TRY(read_files(&r));
    TRY(sqzi_put_tokenizer(&r.draft));
    if (m->lower_texts && !r.draft.lowercase) put_embed_lowercase(m);
    TRY(r.kind == SQZI_TOKENIZER_JSON
            ? sqzi_put_processor(&r.draft, json_object_get(r.files.json, "post_processor"))
            : sqzi_put_bert_template(&r.draft, r.draft.special[1], r.draft.special[2]));
fail:
    sqzi_tokenizer_draft_close(&r.draft);
    if (r.text) sqzi_release(m->source.allocator, r.text, r.bytes + 1);
    json_decref(r.files.json);
    json_decref(r.files.config);
    json_decref(r.files.special_map);
    json_decref(r.files.added);
    json_decref(r.model_config);
    return status;
}
