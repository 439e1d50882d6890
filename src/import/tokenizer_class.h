/* SPDX-License-Identifier: Apache-2.0 */
/* What AutoTokenizer of Transformers 5 makes of a folder's tokenizer_class. */
#ifndef SQZI_TOKENIZER_CLASS_H
#define SQZI_TOKENIZER_CLASS_H

typedef enum sqzi_tokenizer_kind {
    /* BertTokenizer and what is the same under another name: it takes the vocabulary and builds
     * the rest from its settings, whatever tokenizer.json says */
    SQZI_TOKENIZER_BERT,
    /* the same, and gives its model no token types unless it is told to */
    SQZI_TOKENIZER_DISTILBERT,
    /* TokenizersBackend, which takes tokenizer.json as it stands: it is asked for, or the class is
     * none of Transformers */
    SQZI_TOKENIZER_JSON,
    SQZI_TOKENIZER_OTHER
} sqzi_tokenizer_kind;

sqzi_tokenizer_kind sqzi_tokenizer_kind_of(const char *class_name);

#endif
