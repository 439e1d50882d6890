/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs: a new one is a cli_verb_NAME in a file and its name here. */
#ifndef CLI_VERBS_H
#define CLI_VERBS_H

#include "cli.h"

#define CLI_VERBS(X)                                                                               \
    X(import)                                                                                      \
    X(export)                                                                                      \
    X(info)                                                                                        \
    X(verify)                                                                                      \
    X(quantize)                                                                                    \
    X(squeeze) X(build) X(finetune) X(init_student) X(distill) X(tokenize) X(classify) X(embed)    \
        X(similarity) X(search) X(ner) X(qa) X(fill_mask) X(zero_shot) X(eval) X(glue) X(bench)    \
            X(doctor)

#define CLI_VERB_DECLARE(name) extern const cli_verb cli_verb_##name;
CLI_VERBS(CLI_VERB_DECLARE)

#endif
