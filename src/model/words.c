/* SPDX-License-Identifier: Apache-2.0 */
#include "model/words.h"

#include <squeezebert/model.h>

const char *const sqzi_head_words[] = {[SQZ_HEAD_NONE] = "none",
                                       [SQZ_HEAD_SEQUENCE] = "sequence",
                                       [SQZ_HEAD_TOKEN] = "token",
                                       [SQZ_HEAD_QUESTION] = "question",
                                       [SQZ_HEAD_MASKED_LM] = "masked_lm",
                                       [SQZ_HEAD_MULTIPLE_CHOICE] = "multiple_choice",
                                       NULL};
const char *const sqzi_problem_words[] = {[SQZ_SINGLE_LABEL] = "single_label",
                                          [SQZ_MULTI_LABEL] = "multi_label",
                                          [SQZ_REGRESSION] = "regression",
                                          NULL};
const char *const sqzi_pooling_names[] = {[SQZ_POOLING_DEFAULT] = "default",
                                          [SQZ_POOLING_NONE] = "none",
                                          [SQZ_POOLING_MEAN] = "mean",
                                          [SQZ_POOLING_CLS] = "cls",
                                          [SQZ_POOLING_POOLER] = "pooler",
                                          [SQZ_POOLING_MAX] = "max",
                                          [SQZ_POOLING_MEAN_SQRT_LEN] = "mean_sqrt_len",
                                          [SQZ_POOLING_WEIGHTED_MEAN] = "weighted_mean",
                                          [SQZ_POOLING_LAST] = "last",
                                          NULL};
const char *const sqzi_similarity_words[] = {[SQZ_SIMILARITY_DEFAULT] = "default",
                                             [SQZ_SIMILARITY_COSINE] = "cosine",
                                             [SQZ_SIMILARITY_DOT] = "dot",
                                             [SQZ_SIMILARITY_EUCLIDEAN] = "euclidean",
                                             [SQZ_SIMILARITY_MANHATTAN] = "manhattan",
                                             NULL};

#define WORD_OF(words, i) ((unsigned)(i) < sizeof(words) / sizeof *(words) ? (words)[i] : NULL)

const char *sqz_head_name(sqz_head_kind head)
{
    return WORD_OF(sqzi_head_words, head);
}

const char *sqz_problem_name(sqz_problem problem)
{
    return WORD_OF(sqzi_problem_words, problem);
}

const char *sqz_pooling_name(sqz_pooling pooling)
{
    return WORD_OF(sqzi_pooling_names, pooling);
}

const char *sqz_similarity_name(sqz_similarity_kind similarity)
{
    return WORD_OF(sqzi_similarity_words, similarity);
}
