/* SPDX-License-Identifier: Apache-2.0 */
/* What stands around a text or a pair: BERT's template, or the post_processor of tokenizer.json,
 * written as the items that a model file keeps (doc/format.md). */
#include <stdio.h>
#include <string.h>

#include "import/tokenizer_draft.h"

enum { MOST_ITEMS = 64, LONGEST = 256 };

static const char file[] = "tokenizer.json";

typedef struct items {
    char texts[MOST_ITEMS][LONGEST + 16];
    size_t n;
} items;

/* A special token by its number, or a text, "$A" or "$B". */
static sqz_status append(const sqzi_tokenizer_draft *d, items *list, sqzi_span text,
                         json_int_t type)
{
    if (list->n == MOST_ITEMS || text.n == 0 || text.n > LONGEST || type < 0 || type > 1)
        return sqzi_fail(d->importer->error, SQZ_EUNSUPPORTED, 0,
                         "%s: a template of more than %d items, of a token with no spelling or "
                         "more than %d bytes, or with a token type that is neither 0 nor 1",
                         file, MOST_ITEMS, LONGEST);
    snprintf(list->texts[list->n++], sizeof list->texts[0], "%.*s:%d", (int)text.n, text.bytes,
             d->types ? (int)type : 0);
    return SQZ_OK;
}

static sqz_status append_id(const sqzi_tokenizer_draft *d, items *list, json_int_t id,
                            json_int_t type)
{
    const sqzi_span text = id >= 0 && id < d->capacity ? sqzi_tokenizer_draft_text(d, (uint32_t)id)
                                                       : (sqzi_span){NULL, 0};
    if (text.n == 0 || sqzi_tokenizer_draft_id(d, text) != id)
        return sqzi_fail(d->importer->error, SQZ_EFORMAT, 0,
                         "%s: the post_processor adds the token %lld, which the vocabulary lacks",
                         file, (long long)id);
    return append(d, list, text, type);
}

static void put(const sqzi_tokenizer_draft *d, const char *name, const items *list)
{
    char key[64];
    sqzi_span spans[MOST_ITEMS];
    snprintf(key, sizeof key, "sqz.tokenizer.template.%s", name);
    for (size_t i = 0; i < list->n; i++) spans[i] = sqzi_span_of(list->texts[i]);
    sqzi_gguf_put_strings(d->importer->writer, key, spans, list->n);
}

/* [CLS] A [SEP], and [CLS] A [SEP] B [SEP]; RoBERTa's has two [SEP] in the middle and one type. */
static sqz_status put_usual(const sqzi_tokenizer_draft *d, sqzi_span cls, sqzi_span sep,
                            bool roberta)
{
    const sqzi_span first = sqzi_span_of("$A"), second = sqzi_span_of("$B");
    const json_int_t type = !roberta;
    sqz_status status = SQZ_OK;
    items single = {.n = 0}, pair;
    TRY(append(d, &single, cls, 0));
    TRY(append(d, &single, first, 0));
    TRY(append(d, &single, sep, 0));
    pair = single;
    if (roberta) TRY(append(d, &pair, sep, 0));
    TRY(append(d, &pair, second, type));
    TRY(append(d, &pair, sep, type));
    put(d, "single", &single);
    put(d, "pair", &pair);
fail:
    return status;
}

sqz_status sqzi_put_bert_template(const sqzi_tokenizer_draft *d, const char *cls, const char *sep)
{
    const char *const both[] = {cls, sep};
    for (int i = 0; i < 2; i++)
        if (!both[i] || !both[i][0] || both[i][0] == '$' || strpbrk(both[i], " \t\r\n:"))
            return sqzi_fail(d->importer->error, SQZ_EUNSUPPORTED, 0,
                             "%s: the %s is '%.60s': BertTokenizer needs one without white space, "
                             "colon or leading '$'",
                             d->importer->transformer, i ? "sep_token" : "cls_token",
                             both[i] ? both[i] : "null");
    return put_usual(d, sqzi_span_of(cls), sqzi_span_of(sep), false);
}

/* A special token of a template: the numbers that special_tokens gives its name. */
static sqz_status append_special(const sqzi_tokenizer_draft *d, const json_t *specials,
                                 const char *name, json_int_t type, items *list)
{
    const json_t *ids = json_object_get(json_object_get(specials, name), "ids"), *id;
    size_t i;
    if (json_array_size(ids) == 0)
        return sqzi_fail(d->importer->error, SQZ_EFORMAT, 0,
                         "%s: special_tokens of the post_processor does not say the ids of '%.60s'",
                         file, name);
    json_array_foreach (ids, i, id) {
        const sqz_status status =
            append_id(d, list, json_is_integer(id) ? json_integer_value(id) : -1, type);
        if (status != SQZ_OK) return status;
    }
    return SQZ_OK;
}

static sqz_status put_template(const sqzi_tokenizer_draft *d, const json_t *processor,
                               const char *name)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = d->importer->error;
    items list = {.n = 0};
    size_t i;
    const json_t *item, *whole = json_object_get(processor, name),
                        *specials = json_object_get(processor, "special_tokens");
    FAIL_IF(json_array_size(whole) == 0, SQZ_EUNSUPPORTED, 0,
            "%s: the post_processor has no template '%s'", file, name);
    json_array_foreach (whole, i, item) {
        const json_t *special = json_object_get(item, "SpecialToken"),
                     *part = special ? special : json_object_get(item, "Sequence");
        const char *id = json_string_value(json_object_get(part, "id"));
        const json_int_t type = json_integer_value(json_object_get(part, "type_id"));
        FAIL_IF(!id || (!special && strcmp(id, "A") != 0 && strcmp(id, "B") != 0), SQZ_EFORMAT, 0,
                "%s: item %zu of the template '%s' is neither a SpecialToken nor a Sequence A or B",
                file, i, name);
        if (special) TRY(append_special(d, specials, id, type, &list));
        else TRY(append(d, &list, sqzi_span_of(*id == 'A' ? "$A" : "$B"), type));
    }
    put(d, name, &list);
fail:
    return status;
}

/* BertProcessing and RobertaProcessing name their two tokens as [spelling, number]. */
static sqz_status put_processing(const sqzi_tokenizer_draft *d, const json_t *processor,
                                 bool roberta)
{
    sqzi_span texts[2];
    static const char *const keys[] = {"cls", "sep"};
    for (int i = 0; i < 2; i++) {
        const json_t *id = json_array_get(json_object_get(processor, keys[i]), 1);
        const json_int_t number = json_is_integer(id) ? json_integer_value(id) : -1;
        texts[i] = number >= 0 && number < d->capacity
                       ? sqzi_tokenizer_draft_text(d, (uint32_t)number)
                       : (sqzi_span){NULL, 0};
        if (texts[i].n == 0 || sqzi_tokenizer_draft_id(d, texts[i]) != number)
            return sqzi_fail(d->importer->error, SQZ_EFORMAT, 0,
                             "%s: '%s' of the post_processor is no [spelling, id] of the "
                             "vocabulary",
                             file, keys[i]);
    }
    return put_usual(d, texts[0], texts[1], roberta);
}

/* No post_processor: the texts alone. */
static sqz_status put_bare(const sqzi_tokenizer_draft *d)
{
    sqz_status status = SQZ_OK;
    items single = {.n = 0}, pair = {.n = 0};
    TRY(append(d, &single, sqzi_span_of("$A"), 0));
    TRY(append(d, &pair, sqzi_span_of("$A"), 0));
    TRY(append(d, &pair, sqzi_span_of("$B"), 1));
    put(d, "single", &single);
    put(d, "pair", &pair);
fail:
    return status;
}

/* 0 to 2: TemplateProcessing, BertProcessing, RobertaProcessing; 3: none of these. */
static int kind_of(const json_t *processor)
{
    static const char *const types[] = {"TemplateProcessing", "BertProcessing",
                                        "RobertaProcessing"};
    const char *type = json_string_value(json_object_get(processor, "type"));
    int kind = 0;
    if (!type) return json_object_get(processor, "cls") ? 1 : 3;
    while (kind < 3 && strcmp(type, types[kind]) != 0) kind++;
    return kind;
}

sqz_status sqzi_check_processor(const sqzi_importer *m, json_t *processor)
{
    static const char *const keys[][6] = {{"type", "single", "pair", "special_tokens", NULL},
                                          {"type", "sep", "cls", NULL},
                                          {"type", "sep", "cls", "trim_offsets", "add_prefix_space",
                                           NULL},
                                          {NULL}};
    const int kind = json_is_object(processor) ? kind_of(processor) : 3;
    return kind == 3 ? SQZ_OK
                     : sqzi_json_check_keys(processor, "tokenizer.json: the post_processor",
                                            keys[kind], m->error);
}

sqz_status sqzi_put_processor(const sqzi_tokenizer_draft *d, json_t *processor)
{
    const char *type = json_string_value(json_object_get(processor, "type"));
    json_t *parts = json_object_get(processor, "processors");
    if (!processor || json_is_null(processor)) return put_bare(d);
    if (type && strcmp(type, "Sequence") == 0 && json_array_size(parts) == 1)
        return sqzi_put_processor(d, json_array_get(parts, 0));
    const int kind = kind_of(processor);
    if (kind == 3)
        return sqzi_fail(d->importer->error, SQZ_EUNSUPPORTED, 0,
                         "%s: the post_processor is '%.60s'; TemplateProcessing, BertProcessing, "
                         "RobertaProcessing and a Sequence of one of them can be run",
                         file, type ? type : "none");
    sqz_status status = sqzi_check_processor(d->importer, processor);
    if (status != SQZ_OK) return status;
    if (kind > 0) return put_processing(d, processor, kind == 2);
    status = put_template(d, processor, "single");
    return status == SQZ_OK ? put_template(d, processor, "pair") : status;
}
