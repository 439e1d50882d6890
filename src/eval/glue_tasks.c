/* SPDX-License-Identifier: Apache-2.0 */
/* Columns as GLUE published them and as the data sets' other copies call them; classes as the
 * files, the data sets' feature names and models on the Hub do. */
#include "eval/glue_tasks.h"

#include <stdio.h>
#include <string.h>

#define SINGLE                                                                                     \
    {"sentence", "text"},                                                                          \
    {                                                                                              \
        NULL                                                                                       \
    }
#define PAIR                                                                                       \
    {"sentence1", "premise", "text1"},                                                             \
    {                                                                                              \
        "sentence2", "hypothesis", "text2"                                                         \
    }
#define ENTAILMENT                                                                                 \
    {                                                                                              \
        "entailment", "entail", "entails", "entailed"                                              \
    }
#define NOT_ENTAILMENT                                                                             \
    {                                                                                              \
        "not_entailment", "non_entailment", "not_entailed", "no_entailment"                        \
    }
#define THREE_WAYS                                                                                 \
    {                                                                                              \
        ENTAILMENT, {"neutral"},                                                                   \
        {                                                                                          \
            "contradiction", "contradict", "contradictory"                                         \
        }                                                                                          \
    }
#define LABEL                                                                                      \
    {                                                                                              \
        "label", "labels"                                                                          \
    }
#define ID                                                                                         \
    {                                                                                              \
        "idx", "index", "id"                                                                       \
    }

const sqzi_glue_facts sqzi_glue_facts_of[SQZI_GLUE_TASKS] = {
    [SQZ_GLUE_COLA] = {"cola",
                       "cola",
                       {SINGLE, LABEL, ID},
                       {"0", "1"},
                       {{"unacceptable", "not_acceptable", "ungrammatical", "not_grammatical"},
                        {"acceptable", "grammatical"}},
                       true},
    [SQZ_GLUE_SST2] = {"sst2",
                       "sst-2",
                       {SINGLE, LABEL, ID},
                       {"0", "1"},
                       {{"negative", "neg"}, {"positive", "pos"}},
                       true},
    [SQZ_GLUE_MRPC] = {"mrpc",
                       "mrpc",
                       {{"#1 String", "sentence1", "text1"},
                        {"#2 String", "sentence2", "text2"},
                        {"Quality", "label", "labels"},
                        ID},
                       {"0", "1"},
                       {{"not_equivalent", "non_equivalent", "not_paraphrase", "non_paraphrase"},
                        {"equivalent", "paraphrase"}},
                       true},
    [SQZ_GLUE_QQP] = {"qqp",
                      "qqp",
                      {{"question1", "sentence1", "text1"},
                       {"question2", "sentence2", "text2"},
                       {"is_duplicate", "label", "labels"},
                       ID},
                      {"0", "1"},
                      {{"not_duplicate", "non_duplicate", "not_duplicates", "not_paraphrase",
                        "non_paraphrase"},
                       {"duplicate", "duplicates", "is_duplicate", "paraphrase"}},
                      true},
    [SQZ_GLUE_STSB] = {"stsb",
                       "sts-b",
                       {{"sentence1", "text1"},
                        {"sentence2", "text2"},
                        {"score", "label", "labels", "similarity_score"},
                        ID},
                       {NULL},
                       {{NULL}},
                       false},
    [SQZ_GLUE_MNLI] = {"mnli",
                       "mnli",
                       {PAIR, {"gold_label", "label", "labels"}, ID},
                       {"entailment", "neutral", "contradiction"},
                       THREE_WAYS,
                       false},
    [SQZ_GLUE_QNLI] =
        {"qnli",
         "qnli",
         {{"question", "sentence1", "text1"}, {"sentence", "sentence2", "text2"}, LABEL, ID},
         {"entailment", "not_entailment"},
         {ENTAILMENT, NOT_ENTAILMENT},
         false},
    [SQZ_GLUE_RTE] = {"rte",
                      "rte",
                      {PAIR, LABEL, ID},
                      {"entailment", "not_entailment"},
                      {ENTAILMENT, NOT_ENTAILMENT},
                      false},
    [SQZ_GLUE_WNLI] =
        {"wnli", "wnli", {PAIR, LABEL, ID}, {"0", "1"}, {NOT_ENTAILMENT, ENTAILMENT}, true},
    [SQZ_GLUE_AX] = {"ax",
                     "ax",
                     {PAIR, {"label", "labels", "gold_label"}, ID},
                     {"entailment", "neutral", "contradiction"},
                     THREE_WAYS,
                     false},
};

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool sqzi_same_word(const char *a, size_t n, const char *b)
{
    for (size_t i = 0; i < n; i++)
        if (!b[i] || lower(a[i]) != lower(b[i])) return false;
    return b[n] == '\0';
}

static bool parts_words(char c)
{
    return c == '_' || c == '-' || c == ' ';
}

static bool same_but_for_parts(const char *a, size_t n, const char *b)
{
    for (size_t i = 0; i < n; i++) {
        if (parts_words(a[i])) continue;
        while (parts_words(*b)) b++;
        if (!*b || lower(a[i]) != *b) return false;
        b++;
    }
    while (parts_words(*b)) b++;
    return *b == '\0';
}

int sqzi_glue_class_of_word(const sqzi_glue_facts *facts, const char *word, size_t n)
{
    for (int k = 0; k < SQZI_GLUE_CLASSES; k++)
        for (int a = 0; a < SQZI_GLUE_NAMES && facts->words[k][a]; a++)
            if (n && same_but_for_parts(word, n, facts->words[k][a])) return k;
    return -1;
}

int sqzi_glue_number_of(const char *word, size_t n)
{
    static const char prefix[] = "label";
    size_t at = 0;
    if (n >= sizeof prefix && sqzi_same_word(word, sizeof prefix - 1, prefix))
        at = sizeof prefix - 1 + parts_words(word[sizeof prefix - 1]);
    if (n - at != 1 || word[at] < '0' || word[at] > '9') return -1;
    return word[at] - '0';
}

uint32_t sqzi_glue_n_classes(const sqzi_glue_facts *facts)
{
    uint32_t n = 0;
    while (n < SQZI_GLUE_CLASSES && facts->classes[n]) n++;
    return n;
}

void sqzi_glue_list_classes(const sqzi_glue_facts *facts, char *to, size_t room)
{
    size_t used = 0;
    for (uint32_t k = 0; k < sqzi_glue_n_classes(facts) && used < room; k++)
        used += (size_t)snprintf(to + used, room - used, "%s%s%s%s", k ? ", " : "",
                                 facts->classes[k], facts->numbered ? " = " : "",
                                 facts->numbered ? facts->words[k][0] : "");
}
