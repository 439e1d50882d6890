/* SPDX-License-Identifier: Apache-2.0 */
/* The tokenizer of a model file (doc/format.md, Texts): metadata to a specification, whose parts
 * live only until the tokenizer has copied them. */
#include "base/error.h"
#include "model/loader.h"

#include <string.h>

/* A text may hold pieces that the encoder does not embed: it is refused then. */
enum { MAX_TEMPLATE = 64, MAX_PIECES = 1 << 24 };

/* What the specification points to, in one block: spellings, added tokens. */
typedef struct parts {
    sqzi_span *pieces;
    sqzi_added_token *added;
    sqzi_template_item single[MAX_TEMPLATE], pair[MAX_TEMPLATE];
} parts;

static parts *lay_out(uint32_t n_pieces, uint32_t n_added, sqzi_arena *arena)
{
    parts *p = sqzi_arena_take(arena, 1, sizeof *p);
    sqzi_span *pieces = sqzi_arena_take(arena, n_pieces, sizeof *pieces);
    sqzi_added_token *added = sqzi_arena_take(arena, n_added, sizeof *added);
    if (!p) return NULL;
    p->pieces = pieces;
    p->added = added;
    return p;
}

static uint32_t find_piece(const sqzi_tokenizer_spec *spec, sqzi_span text)
{
    for (uint32_t i = 0; i < spec->n_added; i++)
        if (spec->added[i].text.n == text.n &&
            memcmp(spec->added[i].text.bytes, text.bytes, text.n) == 0)
            return spec->added[i].id;
    for (uint32_t i = 0; i < spec->n_pieces; i++)
        if (spec->pieces[i].n == text.n && memcmp(spec->pieces[i].bytes, text.bytes, text.n) == 0)
            return i;
    return UINT32_MAX;
}

/* "$A:0", "$B:1", or a spelling with its type. */
static sqz_status parse_item(const sqzi_tokenizer_spec *spec, const sqzi_gguf_value *value,
                             sqzi_span text, sqzi_template_item *item, sqz_error *error)
{
    const bool typed = text.n >= 3 && text.bytes[text.n - 2] == ':' &&
                       (text.bytes[text.n - 1] == '0' || text.bytes[text.n - 1] == '1');
    const sqzi_span name = {text.bytes, typed ? text.n - 2 : 0};
    *item = (sqzi_template_item){.sequence = sqzi_span_is(name, "$A")   ? 0
                                             : sqzi_span_is(name, "$B") ? 1
                                                                        : 255,
                                 .type = typed && text.bytes[text.n - 1] == '1'};
    if (item->sequence == 255) item->id = typed ? find_piece(spec, name) : UINT32_MAX;
    if (!typed || item->id == UINT32_MAX)
        return sqzi_fail(error, SQZ_EFORMAT, value->offset,
                         "item '%.*s' of a tokenizer template is neither $A:0, $B:1 nor a piece of "
                         "the vocabulary with its type",
                         (int)(text.n > 60 ? 60 : text.n), text.bytes);
    return SQZ_OK;
}

static sqz_status load_template(const sqzi_gguf *gguf, const char *key,
                                const sqzi_tokenizer_spec *spec, sqzi_template_item *items,
                                uint32_t *n, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqzi_gguf_value *value;
    TRY(sqzi_gguf_get_array(gguf, key, SQZI_GGUF_STRING, UINT64_MAX, true, &value, error));
    FAIL_IF(value->n > MAX_TEMPLATE, SQZ_ELIMIT, value->offset,
            "metadata '%s' has %llu items, at most %d are allowed", key,
            (unsigned long long)value->n, MAX_TEMPLATE);
    const unsigned char *at = value->data;
    *n = (uint32_t)value->n;
    for (uint32_t i = 0; i < *n; i++)
        TRY(parse_item(spec, value, sqzi_gguf_next_string(&at), &items[i], error));
fail:
    return status;
}

static sqz_status load_options(const sqzi_gguf *gguf, sqzi_tokenizer_spec *spec, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqz_special_tokens *special = &spec->special;
    spec->prefix = sqzi_span_of("##");
    spec->max_word_chars = 100;
    *special = (sqz_special_tokens){UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX};
    TRY(sqzi_gguf_get_bool(gguf, "sqz.tokenizer.clean_text", true, &spec->clean_text, error));
    TRY(sqzi_gguf_get_bool(gguf, "sqz.tokenizer.handle_chinese_chars", true,
                           &spec->handle_chinese_chars, error));
    TRY(sqzi_gguf_get_bool(gguf, "sqz.tokenizer.strip_accents", true, &spec->strip_accents, error));
    TRY(sqzi_gguf_get_bool(gguf, "sqz.tokenizer.lowercase", true, &spec->lowercase, error));
    TRY(sqzi_gguf_get_string(gguf, "sqz.tokenizer.prefix", false, &spec->prefix, error));
    TRY(sqzi_gguf_get_u32(gguf, "sqz.tokenizer.max_word_chars", false, &spec->max_word_chars,
                          error));
    TRY(sqzi_gguf_get_u32(gguf, "tokenizer.ggml.unknown_token_id", false, &special->unk, error));
    TRY(sqzi_gguf_get_u32(gguf, "tokenizer.ggml.cls_token_id", false, &special->cls, error));
    TRY(sqzi_gguf_get_u32(gguf, "tokenizer.ggml.seperator_token_id", false, &special->sep, error));
    TRY(sqzi_gguf_get_u32(gguf, "tokenizer.ggml.padding_token_id", false, &special->pad, error));
    TRY(sqzi_gguf_get_u32(gguf, "tokenizer.ggml.mask_token_id", false, &special->mask, error));
fail:
    return status;
}

typedef struct lists {
    const sqzi_gguf_value *pieces, *ids, *texts, *flags; /* the last three may be NULL */
} lists;

static sqz_status find_lists(const sqz_model *model, lists *found, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqzi_gguf *gguf = model->gguf;
    sqzi_span kind = sqzi_span_of("bert"); /* WordPiece */
    TRY(sqzi_gguf_get_string(gguf, "tokenizer.ggml.model", false, &kind, error));
    FAIL_IF(!sqzi_span_is(kind, "bert"), SQZ_EUNSUPPORTED, 0,
            "the tokenizer is '%.*s', and only 'bert' (WordPiece) is known: import the model's "
            "folder with this program",
            (int)(kind.n < 40 ? kind.n : 40), kind.bytes);
    TRY(sqzi_gguf_get_array(gguf, "tokenizer.ggml.tokens", SQZI_GGUF_STRING, UINT64_MAX, true,
                            &found->pieces, error));
    FAIL_IF(found->pieces->n > MAX_PIECES, SQZ_ELIMIT, found->pieces->offset,
            "the tokenizer has %llu pieces, at most %d are allowed",
            (unsigned long long)found->pieces->n, MAX_PIECES);
    TRY(sqzi_gguf_get_array(gguf, "sqz.tokenizer.added.ids", SQZI_GGUF_U32, UINT64_MAX, false,
                            &found->ids, error));
    const uint64_t n_added = found->ids ? found->ids->n : 0;
    TRY(sqzi_gguf_get_array(gguf, "sqz.tokenizer.added.texts", SQZI_GGUF_STRING, n_added,
                            found->ids != NULL, &found->texts, error));
    TRY(sqzi_gguf_get_array(gguf, "sqz.tokenizer.added.flags", SQZI_GGUF_U32, n_added,
                            found->ids != NULL, &found->flags, error));
fail:
    return status;
}

static sqz_status fill_in(const sqz_model *model, const lists *found, parts *p,
                          sqzi_tokenizer_spec *spec, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const unsigned char *at = found->pieces->data;
    for (uint32_t i = 0; i < spec->n_pieces; i++) p->pieces[i] = sqzi_gguf_next_string(&at);
    at = found->texts ? found->texts->data : NULL;
    for (uint32_t i = 0; i < spec->n_added; i++) {
        p->added[i] = (sqzi_added_token){(uint32_t)sqzi_gguf_uint(found->ids, i),
                                         sqzi_gguf_next_string(&at),
                                         (uint32_t)sqzi_gguf_uint(found->flags, i)};
        FAIL_IF(p->added[i].id >= MAX_PIECES, SQZ_EFORMAT, found->ids->offset,
                "an added token has the id %u, at most %d are allowed", p->added[i].id, MAX_PIECES);
    }
    spec->pieces = p->pieces;
    spec->added = p->added;
    spec->single = p->single;
    spec->pair = p->pair;
    TRY(load_options(model->gguf, spec, error));
    TRY(load_template(model->gguf, "sqz.tokenizer.template.single", spec, p->single,
                      &spec->n_single, error));
    TRY(load_template(model->gguf, "sqz.tokenizer.template.pair", spec, p->pair, &spec->n_pair,
                      error));
fail:
    return status;
}

sqz_status sqzi_load_tokenizer(sqz_model *model, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    lists found;
    void *block = NULL;
    const sqz_allocator *allocator = &model->context->allocator;
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    TRY(find_lists(model, &found, error));
    sqzi_tokenizer_spec spec = {.n_pieces = (uint32_t)found.pieces->n,
                                .n_added = found.ids ? (uint32_t)found.ids->n : 0};
    (void)lay_out(spec.n_pieces, spec.n_added, &arena);
    block = sqzi_allocate(allocator, arena.used);
    FAIL_IF(!block, SQZ_ENOMEM, 0, "no memory for the tokenizer's %u pieces", spec.n_pieces);
    arena = sqzi_arena_over(block, arena.used);
    TRY(fill_in(model, &found, lay_out(spec.n_pieces, spec.n_added, &arena), &spec, error));
    TRY(sqzi_tokenizer_open(allocator, &spec, &model->tokenizer, error));
    if (model->info.embed_lowercase && !spec.lowercase) {
        spec.lowercase = true;
        status = sqzi_tokenizer_open(allocator, &spec, &model->lowering_tokenizer, error);
    }
fail:
    if (block) sqzi_release(allocator, block, arena.capacity);
    return status;
}
