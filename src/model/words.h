/* SPDX-License-Identifier: Apache-2.0 */
/* The words of the public enumerators, one list each: what a model file says, what import and
 * export write, what is shown. By enumerator; NULL behind the last. */
#ifndef SQZI_WORDS_H
#define SQZI_WORDS_H

extern const char *const sqzi_head_words[],
    *const sqzi_problem_words[], *const sqzi_pooling_names[], *const sqzi_similarity_words[];

#endif
