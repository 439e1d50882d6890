/* SPDX-License-Identifier: Apache-2.0 */
/* Added tokens and special tokens from all files of a folder, in the order in which Transformers 5
 * adds them (PreTrainedTokenizerBase._from_pretrained, TokenizersBackend.__init__):
 *
 *   1. a list by number: added_tokens_decoder of tokenizer_config.json; where there is none,
 *      added_tokens.json, and over it added_tokens of tokenizer.json. The numbers order the list
 *      and are forgotten (tokenizer_draft.h says which ones are given).
 *   2. bos, eos, unk, sep, pad, cls, mask of tokenizer_config.json; where it has no
 *      added_tokens_decoder, special_tokens_map.json counts before it. BertTokenizer has [UNK],
 *      [SEP], [PAD], [CLS] and [MASK] where neither names them. Then every other key that ends in
 *      _token, and extra_special_tokens where it is an object.
 *   3. extra_special_tokens where it is a list; additional_special_tokens is its older name, and
 *      that of special_tokens_map.json counts only where no other list is there.
 *
 * What has been listed before is not added again. A token of the list that 2 names is special.
 * A string is a special token; an object has its own flags, and those of special_tokens_map.json
 * are special. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "import/tokenizer_draft.h"

enum { MOST = 65536, LISTED = 1 << 20 };

typedef struct numbered {
    json_int_t id;
    size_t place;
    sqzi_new_token token;
} numbered;

typedef struct gathering {
    const sqzi_importer *m;
    const sqzi_tokenizer_files *files;
    json_t *map; /* special_tokens_map.json where it counts */
    bool bert;
    sqzi_buffer list, named, extra; /* 1: of numbered; 2 and 3: of sqzi_new_token */
    sqzi_piece_index names, listed; /* texts of 2 and 3; of what has been added */
} gathering;

static const char config_name[] = "tokenizer_config.json", map_name[] = "special_tokens_map.json",
                  extra_key[] = "extra_special_tokens",
                  additional_key[] = "additional_special_tokens";
static const char *const standard[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                       "pad_token", "cls_token", "mask_token"};
enum { STANDARD = sizeof standard / sizeof *standard };

static size_t count(const sqzi_buffer *tokens)
{
    return tokens->used / sizeof(sqzi_new_token);
}

static const sqzi_new_token *tokens_of(const sqzi_buffer *tokens)
{
    return (const sqzi_new_token *)(void *)tokens->data;
}

static sqz_status append(const gathering *g, sqzi_buffer *to, const void *item, size_t bytes)
{
    if (to->used / bytes >= MOST)
        return sqzi_fail(g->m->error, SQZ_ELIMIT, 0,
                         "%s: more than %d added tokens, that many are allowed", g->m->transformer,
                         MOST);
    return sqzi_buffer_append(to, item, bytes, g->m->error);
}

/* What 2 and 3 say of a text: it is named; it makes a token of added_tokens.json special. */
enum { NAMED = 1, COUNTS = 2 };

static uint32_t name_bits(const gathering *g, sqzi_span text)
{
    const uint32_t bits = sqzi_piece_index_find(&g->names, text);
    return bits == UINT32_MAX ? 0 : bits;
}

/* ---- 1. the list by number ---- */

static sqz_status put_numbered(gathering *g, json_int_t id, const sqzi_new_token *token)
{
    const numbered entry = {id, g->list.used, *token};
    return append(g, &g->list, &entry, sizeof entry);
}

static int by_number(const void *left, const void *right)
{
    const numbered *a = left, *b = right;
    return a->id != b->id ? (a->id > b->id) - (a->id < b->id)
                          : (a->place > b->place) - (a->place < b->place);
}

/* Of equal numbers the one that was put last stays. */
static void sort_list(gathering *g)
{
    numbered *list = (numbered *)(void *)g->list.data;
    const size_t n = g->list.used / sizeof *list;
    size_t kept = 0;
    if (n) qsort(list, n, sizeof *list, by_number);
    for (size_t i = 0; i < n; i++)
        if (i + 1 == n || list[i + 1].id != list[i].id) list[kept++] = list[i];
    g->list.used = kept * sizeof *list;
}

static sqz_status read_decoder(gathering *g, json_t *decoder)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = g->m->error;
    const char *key;
    json_t *value;
    FAIL_IF(!json_is_object(decoder), SQZ_EFORMAT, 0, "%s: added_tokens_decoder is no object",
            config_name);
    json_object_foreach (decoder, key, value) {
        sqzi_new_token token;
        char *end;
        const long id = strtol(key, &end, 10);
        FAIL_IF(end == key || *end || id < 0 || !json_is_object(value), SQZ_EFORMAT, 0,
                "%s: '%.60s' of added_tokens_decoder is no number with a token", config_name, key);
        TRY(sqzi_read_token(g->m, "tokenizer_config.json: added_tokens_decoder", value, &token));
        TRY(put_numbered(g, id, &token));
    }
fail:
    return status;
}

/* Special where one of the seven names or a list of 3 has it: in special_tokens_map.json, or as a
 * string. Defaults of the class and tokens of other names do not count. */
static sqz_status read_added_json(gathering *g)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = g->m->error;
    const char *text;
    json_t *id;
    FAIL_IF(g->files->added && !json_is_object(g->files->added), SQZ_EFORMAT, 0,
            "added_tokens.json: no JSON object of tokens and their ids");
    json_object_foreach (g->files->added, text, id) {
        const bool special = name_bits(g, sqzi_span_of(text)) & COUNTS;
        const sqzi_new_token token = {.text = sqzi_span_of(text),
                                      .flags = special ? SQZI_ADDED_SPECIAL : 0,
                                      .normalized = !special};
        FAIL_IF(!json_is_integer(id), SQZ_EFORMAT, 0,
                "added_tokens.json: the id of '%.60s' is no number", text);
        TRY(put_numbered(g, json_integer_value(id), &token));
    }
fail:
    return status;
}

static sqz_status read_json_tokens(gathering *g, json_t *tokens)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = g->m->error;
    size_t i;
    json_t *value;
    json_array_foreach (tokens, i, value) {
        sqzi_new_token token;
        const json_t *id = json_object_get(value, "id");
        FAIL_IF(!json_is_integer(id) || !json_is_string(json_object_get(value, "content")),
                SQZ_EFORMAT, 0, "tokenizer.json: added token %zu has no content or no id", i);
        TRY(sqzi_read_token(g->m, "tokenizer.json: added_tokens", value, &token));
        TRY(put_numbered(g, json_integer_value(id), &token));
    }
fail:
    return status;
}

/* ---- 2. named tokens ---- */

static bool is_token_key(const char *key, const json_t *value)
{
    const size_t n = strlen(key);
    if (n < 6 || strcmp(key + n - 6, "_token") != 0) return false;
    for (int i = 0; i < STANDARD; i++)
        if (strcmp(key, standard[i]) == 0) return false;
    return json_is_string(value) ||
           (json_is_object(value) && json_is_string(json_object_get(value, "content")));
}

static sqz_status put_token(gathering *g, sqzi_buffer *to, const char *key, json_t *value,
                            bool of_map)
{
    char where[128];
    sqzi_new_token token;
    snprintf(where, sizeof where, "%s: '%.60s'", of_map ? map_name : config_name, key);
    const sqz_status status = sqzi_read_token(g->m, where, value, &token);
    if (status != SQZ_OK) return status;
    if (of_map) token.flags |= SQZI_ADDED_SPECIAL;
    token.counts = of_map || token.is_string;
    return append(g, to, &token, sizeof token);
}

static json_t *standard_value(const gathering *g, int i, bool *of_map)
{
    json_t *value = json_object_get(g->map, standard[i]);
    *of_map = value != NULL;
    return value ? value : json_object_get(g->files->config, standard[i]);
}

/* tokenizer.json's padding names a pad_token where nobody else does. */
static const char *usual_token(const gathering *g, int i)
{
    static const char *const usual[STANDARD] = {NULL,    NULL,    "[UNK]", "[SEP]",
                                                "[PAD]", "[CLS]", "[MASK]"};
    if (g->bert) return usual[i];
    return i == 4 ? json_string_value(
                        json_object_get(json_object_get(g->files->json, "padding"), standard[i]))
                  : NULL;
}

static sqz_status gather_standard(gathering *g)
{
    for (int i = 0; i < STANDARD; i++) {
        bool of_map;
        sqz_status status = SQZ_OK;
        json_t *value = standard_value(g, i, &of_map);
        const char *usual = usual_token(g, i);
        const sqzi_new_token token = {.text = sqzi_span_of(usual ? usual : ""),
                                      .flags = SQZI_ADDED_SPECIAL,
                                      .normalized = -1,
                                      .is_string = true};
        if (value && !json_is_null(value))
            status = put_token(g, &g->named, standard[i], value, of_map);
        else if (!value && usual) status = append(g, &g->named, &token, sizeof token);
        if (status != SQZ_OK) return status;
    }
    return SQZ_OK;
}

/* Keys of an object that are tokens; all: whatever they are called. */
static sqz_status gather_object(gathering *g, json_t *object, bool of_map, bool all)
{
    const char *key;
    json_t *value;
    json_object_foreach (object, key, value) {
        if (!all && !is_token_key(key, value)) continue;
        const sqz_status status = put_token(g, &g->named, key, value, of_map);
        if (status != SQZ_OK) return status;
        ((sqzi_new_token *)(void *)g->named.data)[count(&g->named) - 1].counts = false;
    }
    return SQZ_OK;
}

/* ---- 3. the list without numbers ---- */

/* A list, or an object, whose tokens are named; NULL and null are nothing. */
static sqz_status gather_extra(gathering *g, const char *key, json_t *value, bool of_map)
{
    size_t i;
    json_t *item;
    if (!value || json_is_null(value)) return SQZ_OK;
    if (json_is_object(value)) return gather_object(g, value, of_map, true);
    if (!json_is_array(value))
        return sqzi_fail(g->m->error, SQZ_EFORMAT, 0, "%s: %s is no list of tokens",
                         of_map ? map_name : config_name, key);
    json_array_foreach (value, i, item) {
        const sqz_status status = put_token(g, &g->extra, key, item, of_map);
        if (status != SQZ_OK) return status;
    }
    return SQZ_OK;
}

static bool is_empty(const json_t *value)
{
    return json_array_size(value) == 0 && json_object_size(value) == 0;
}

static sqz_status gather_names(gathering *g)
{
    sqz_status status = SQZ_OK;
    json_t *config = g->files->config, *extra = json_object_get(config, extra_key),
           *additional = json_object_get(config, additional_key);
    TRY(gather_standard(g));
    TRY(gather_object(g, g->map, true, false));
    TRY(gather_object(g, config, false, false));
    TRY(is_empty(extra) && additional ? gather_extra(g, additional_key, additional, false)
                                      : gather_extra(g, extra_key, extra, false));
    TRY(gather_extra(g, extra_key, json_object_get(g->map, extra_key), true));
fail:
    return status;
}

/* ---- adding ---- */

static sqz_status index_names(gathering *g)
{
    sqz_status status = SQZ_OK;
    const sqzi_buffer *const both[] = {&g->named, &g->extra};
    uint32_t before;
    TRY(sqzi_piece_index_open(g->m->source.allocator,
                              (uint32_t)(count(&g->named) + count(&g->extra)), &g->names,
                              g->m->error));
    for (int b = 0; b < 2; b++)
        for (size_t i = 0; i < count(both[b]); i++) {
            const sqzi_new_token *token = &tokens_of(both[b])[i];
            const uint32_t bits = (b == 0 ? NAMED : 0) | (token->counts ? COUNTS : 0);
            TRY(sqzi_piece_index_put(&g->names, token->text, name_bits(g, token->text) | bits,
                                     &before, g->m->error));
        }
fail:
    return status;
}

static sqz_status gather_list(gathering *g)
{
    sqz_status status = SQZ_OK;
    json_t *config = g->files->config, *decoder = json_object_get(config, "added_tokens_decoder"),
           *extra = json_object_get(config, extra_key);
    if (decoder) {
        TRY(read_decoder(g, decoder));
    } else {
        TRY(read_added_json(g));
        TRY(read_json_tokens(g, json_object_get(g->files->json, "added_tokens")));
        if ((!extra || json_is_object(extra)) && !json_object_get(config, additional_key) &&
            !json_object_get(g->map, extra_key))
            TRY(gather_extra(g, additional_key, json_object_get(g->map, additional_key), true));
    }
    sort_list(g);
fail:
    return status;
}

static bool is_same(const sqzi_new_token *a, const sqzi_new_token *b)
{
    return a->is_string == b->is_string && a->flags == b->flags && a->normalized == b->normalized;
}

/* What the list or the tokenizer itself has is left out, and what has just been added. */
static sqz_status add_rest(gathering *g, sqzi_tokenizer_draft *d, const sqzi_buffer *rest,
                           uint32_t place)
{
    for (uint32_t i = 0; i < count(rest); i++) {
        const sqzi_new_token *token = &tokens_of(rest)[i], *last;
        uint32_t before = sqzi_piece_index_find(&g->listed, token->text);
        last = before == UINT32_MAX || before == LISTED ? NULL
               : before < count(&g->named)              ? &tokens_of(&g->named)[before]
                                           : &tokens_of(&g->extra)[before - count(&g->named)];
        if (before == LISTED || (last && is_same(token, last))) continue;
        sqz_status status = sqzi_piece_index_put(&g->listed, token->text, place + i, &before,
                                                 g->m->error);
        if (status == SQZ_OK) status = sqzi_tokenizer_draft_add(d, token);
        if (status != SQZ_OK) return status;
    }
    return SQZ_OK;
}

static sqz_status add_all(gathering *g, sqzi_tokenizer_draft *d)
{
    sqz_status status = SQZ_OK;
    numbered *list = (numbered *)(void *)g->list.data;
    const size_t n = g->list.used / sizeof *list;
    const uint32_t there = d->n_added, n_named = (uint32_t)count(&g->named);
    uint32_t before;
    TRY(sqzi_piece_index_open(g->m->source.allocator,
                              (uint32_t)(there + n + n_named + count(&g->extra)), &g->listed,
                              g->m->error));
    for (uint32_t i = 0; i < there; i++)
        TRY(sqzi_piece_index_put(&g->listed, d->added[i].text, LISTED, &before, g->m->error));
    for (size_t i = 0; i < n; i++) {
        TRY(sqzi_piece_index_put(&g->listed, list[i].token.text, LISTED, &before, g->m->error));
        if (name_bits(g, list[i].token.text) & NAMED) list[i].token.flags |= SQZI_ADDED_SPECIAL;
        TRY(sqzi_tokenizer_draft_add(d, &list[i].token));
    }
    TRY(add_rest(g, d, &g->named, 0));
    TRY(add_rest(g, d, &g->extra, n_named));
fail:
    return status;
}

/* The spelling of a special token by its key: of the files, or the class's own. */
static const char *spelling(const gathering *g, const char *key, const char *usual)
{
    for (int i = 0; i < STANDARD; i++) {
        bool of_map;
        json_t *value = standard_value(g, i, &of_map);
        if (strcmp(standard[i], key) != 0) continue;
        return !value                  ? usual
               : json_is_string(value) ? json_string_value(value)
                                       : json_string_value(json_object_get(value, "content"));
    }
    return usual;
}

sqz_status sqzi_add_tokens(sqzi_tokenizer_draft *d, const sqzi_tokenizer_files *files,
                           sqzi_tokenizer_kind kind)
{
    sqz_status status = SQZ_OK;
    const sqzi_importer *m = d->importer;
    const sqz_allocator *allocator = m->source.allocator;
    const sqzi_buffer empty = {.allocator = allocator, .limit = SIZE_MAX / 2};
    const bool decoder = json_object_get(files->config, "added_tokens_decoder") != NULL;
    gathering g = {.m = m,
                   .files = files,
                   .map = decoder ? NULL : files->special_map,
                   .bert = kind != SQZI_TOKENIZER_JSON,
                   .list = empty,
                   .named = empty,
                   .extra = empty};
    TRY(gather_names(&g));
    TRY(index_names(&g));
    TRY(gather_list(&g));
    TRY(add_all(&g, d));
    for (int k = 0; k < SQZI_SPECIAL_WORDS; k++)
        if (k > 0 || g.bert)
            d->special[k] = spelling(&g, sqzi_special_words[k].key, sqzi_special_words[k].spelling);
fail:
    sqzi_buffer_free(&g.list);
    sqzi_buffer_free(&g.named);
    sqzi_buffer_free(&g.extra);
    sqzi_piece_index_close(&g.names);
    sqzi_piece_index_close(&g.listed);
    return status;
}
