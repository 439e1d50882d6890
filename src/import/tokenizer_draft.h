/* SPDX-License-Identifier: Apache-2.0 */
/* A folder's tokenizer while it is put together from its files: WordPiece's vocabulary, and the
 * added tokens with the numbers that `tokenizers` gives them, which are not those in the files:
 *
 *   a token that is a piece of the vocabulary, or was added before, has that one's number;
 *   any other takes the next free one: how many spellings the vocabulary holds (the empty line
 *   among them, twins once), or one more than the largest number of an added token if that is
 *   more.
 *
 * Texts belong to the files, which outlive the draft. */
#ifndef SQZI_TOKENIZER_DRAFT_H
#define SQZI_TOKENIZER_DRAFT_H

#include "import/importer.h"
#include "import/piece_index.h"
#include "import/tokenizer_class.h"
#include "text/tokenizer_spec.h"

/* A token to be added. normalized -1: not said, so the opposite of special. */
typedef struct sqzi_new_token {
    sqzi_span text;
    uint32_t flags;
    int normalized;
    bool is_string; /* rather than an object with flags */
    bool counts;    /* makes a token of added_tokens.json special */
} sqzi_new_token;

typedef struct sqzi_tokenizer_draft {
    const sqzi_importer *importer;
    const char *source; /* the file with the vocabulary, for messages */
    bool clean_text, handle_chinese_chars, strip_accents, lowercase;
    bool types; /* the model is given token types */
    sqzi_span prefix;
    uint32_t max_word_chars;
    const char *special[SQZI_SPECIAL_WORDS]; /* spellings; NULL: none */
    /* by number, up to `capacity`: spelling, whether words are not spelt with it, the added token
     * from 1 on */
    sqzi_span *pieces;
    bool *apart;
    uint32_t *added_at;
    uint32_t capacity, n; /* n: one more than the largest number with a spelling */
    sqzi_piece_index vocabulary, tokens;
    sqzi_added_token *added;
    uint32_t n_added, most_added,
        next_added; /* next_added: one more than the largest number of a token */
} sqzi_tokenizer_draft;

/* For a vocabulary of n pieces and at most most_added added tokens. SQZ_ELIMIT: far more than the
 * model embeds. SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_tokenizer_draft_open(const sqzi_importer *importer,
                                                   const char *source, uint32_t n,
                                                   size_t most_added, sqzi_tokenizer_draft *draft);
void sqzi_tokenizer_draft_close(sqzi_tokenizer_draft *draft);

/* A piece of the vocabulary; of twins the last one counts. SQZ_EFORMAT: an id that is negative,
 * above both the vocabulary's pieces and the model's, or another spelling's. */
SQZ_NODISCARD sqz_status sqzi_tokenizer_draft_piece(sqzi_tokenizer_draft *draft, sqzi_span text,
                                                    int64_t id);
/* Behind the last piece. SQZ_ELIMIT: 65,536 tokens are there. */
SQZ_NODISCARD sqz_status sqzi_tokenizer_draft_add(sqzi_tokenizer_draft *draft,
                                                  const sqzi_new_token *token);
/* The number of an added token or a piece, UINT32_MAX where there is none. */
uint32_t sqzi_tokenizer_draft_id(const sqzi_tokenizer_draft *draft, sqzi_span text);
/* The spelling that a number has, n = 0 where it has none. */
sqzi_span sqzi_tokenizer_draft_text(const sqzi_tokenizer_draft *draft, uint32_t id);

/* A token from JSON, a string or an object with its flags. `where` names file and place. */
SQZ_NODISCARD sqz_status sqzi_read_token(const sqzi_importer *importer, const char *where,
                                         json_t *value, sqzi_new_token *token);

/* tokenizer.json (tokenizer_json.c). The vocabulary, and the settings if the file is taken as it
 * stands, its added tokens then too; else what its normaliser says otherwise is told in a note. */
SQZ_NODISCARD sqz_status sqzi_read_tokenizer_json(sqzi_tokenizer_draft *draft, json_t *root,
                                                  bool as_it_stands);
/* vocab.txt (vocabulary_lines.c): a piece a line, white space behind it trimmed. text[bytes] is
 * writable; each piece gets a NUL at its end. */
uint32_t sqzi_count_lines(const char *text, size_t bytes);
SQZ_NODISCARD sqz_status sqzi_read_lines(sqzi_tokenizer_draft *draft, char *text, size_t bytes);

/* Templates into the model file (tokenizer_template.c): BERT's with its two special tokens, or
 * what post_processor of tokenizer.json says. */
SQZ_NODISCARD sqz_status sqzi_put_bert_template(const sqzi_tokenizer_draft *draft, const char *cls,
                                                const char *sep);
SQZ_NODISCARD sqz_status sqzi_put_processor(const sqzi_tokenizer_draft *draft, json_t *processor);
/* Only whether it has keys that are not known. */
SQZ_NODISCARD sqz_status sqzi_check_processor(const sqzi_importer *importer, json_t *processor);
/* Whether all keys of an object are among `known`; SQZ_EUNSUPPORTED names the one that is not
 * (tokenizer_draft.c). */
SQZ_NODISCARD sqz_status sqzi_check_keys(const sqzi_importer *importer, const char *where,
                                         json_t *object, const char *const *known);

/* A folder's files, NULL where absent. */
typedef struct sqzi_tokenizer_files {
    json_t *json, *config, *special_map, *added;
} sqzi_tokenizer_files;
/* tokenizer_config.json as BertTokenizer takes it, and what Transformers does with it whatever the
 * class (tokenizer_settings.c). */
SQZ_NODISCARD sqz_status sqzi_read_bert_settings(sqzi_tokenizer_draft *draft, json_t *config);
SQZ_NODISCARD sqz_status sqzi_read_common_settings(sqzi_tokenizer_draft *draft,
                                                   const sqzi_tokenizer_files *files,
                                                   sqzi_tokenizer_kind kind);
/* The added and special tokens of all files, behind those that are there (added_files.c). */
SQZ_NODISCARD sqz_status sqzi_add_tokens(sqzi_tokenizer_draft *draft,
                                         const sqzi_tokenizer_files *files,
                                         sqzi_tokenizer_kind kind);

/* Vocabulary, settings and added tokens into the model file, and notes on them
 * (put_tokenizer.c). */
SQZ_NODISCARD sqz_status sqzi_put_tokenizer(const sqzi_tokenizer_draft *draft);

#endif
