/* SPDX-License-Identifier: Apache-2.0 */
/* What a tokenizer is made of. The model layer fills this from a model file, import from a Hugging
 * Face folder. */
#ifndef SQZI_TOKENIZER_SPEC_H
#define SQZI_TOKENIZER_SPEC_H

#include <squeezebert/tokenizer.h>

#include "base/span.h"

/* Apart: its piece is none that words are spelt with. */
enum {
    SQZI_ADDED_SPECIAL = 1,
    SQZI_ADDED_SINGLE_WORD = 2,
    SQZI_ADDED_LSTRIP = 4,
    SQZI_ADDED_RSTRIP = 8,
    SQZI_ADDED_NORMALIZED = 16,
    SQZI_ADDED_APART = 32
};

typedef struct sqzi_added_token {
    uint32_t id;
    sqzi_span text;
    uint32_t flags;
} sqzi_added_token;

/* One item of a template: a text (sequence 0 or 1, id unused) or a special token (sequence 255). */
typedef struct sqzi_template_item {
    uint32_t id;
    uint8_t sequence;
    uint8_t type;
} sqzi_template_item;

typedef struct sqzi_tokenizer_spec {
    /* [n_pieces] spelling by id; an empty one is an id without a spelling */
    const sqzi_span *pieces;
    uint32_t n_pieces;
    bool clean_text, handle_chinese_chars, strip_accents, lowercase;
    sqzi_span prefix;        /* "##" */
    uint32_t max_word_chars; /* 100 */
    sqz_special_tokens special;
    const sqzi_added_token *added;
    uint32_t n_added;
    const sqzi_template_item *single, *pair;
    uint32_t n_single, n_pair;
} sqzi_tokenizer_spec;

/* Everything is copied. SQZ_EFORMAT: a piece that comes twice, an id out of range; error.offset is
 * the piece's id. SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_tokenizer_open(const sqz_allocator *allocator,
                                             const sqzi_tokenizer_spec *spec,
                                             sqz_tokenizer **tokenizer, sqz_error *error);
void sqzi_tokenizer_close(sqz_tokenizer *tokenizer);

/* The encoding without a context, for the layers below one. */
SQZ_NODISCARD sqz_status sqzi_encoding_open(const sqz_allocator *allocator, sqz_encoding **encoding,
                                            sqz_error *error);

#endif
