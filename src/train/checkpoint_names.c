/* SPDX-License-Identifier: Apache-2.0 */
/* Names of checkpoints in their folder. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "train/checkpoint_file.h"

void sqzi_checkpoint_path(const char *folder, const char *kind, uint64_t step,
                          char path[SQZI_OUTPUT_PATH])
{
    snprintf(path, SQZI_OUTPUT_PATH, "%s/%s-%08llu.gguf", folder, kind, (unsigned long long)step);
}

/* "step-00000120.gguf" of this kind, and then `ending`. */
static bool parse_name(const char *name, const char *kind, const char *ending, uint64_t *step)
{
    static const char suffix[] = ".gguf";
    const size_t n = strlen(kind);
    if (strncmp(name, kind, n) != 0 || name[n] != '-') return false;
    const char *at = name + n + 1;
    uint64_t value = 0;
    size_t digits = 0;
    for (; *at >= '0' && *at <= '9' && digits < 18; at++, digits++)
        value = 10 * value + (uint64_t)(*at - '0');
    *step = value;
    if (digits < 8 || strncmp(at, suffix, sizeof suffix - 1) != 0) return false;
    const size_t rest = strlen(at), end = strlen(ending);
    return *ending ? rest > sizeof suffix + end && strcmp(at + rest - end, ending) == 0
                   : rest == sizeof suffix - 1;
}

bool sqzi_checkpoint_newest(const char *folder, uint64_t below, uint64_t *step)
{
    bool found = false;
    uint64_t s;
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (parse_name(entry->d_name, "step", "", &s) && s < below && (!found || s > *step)) {
            *step = s;
            found = true;
        }
    if (dir) closedir(dir);
    return found;
}

static bool stays(const uint64_t kept[2], uint64_t step)
{
    return kept && (step == kept[0] || step == kept[1]);
}

/* What a process that was killed had begun to write. */
static bool is_left_over(const char *name)
{
    uint64_t s;
    return parse_name(name, "step", ".tmp", &s) || parse_name(name, "best", ".tmp", &s);
}

void sqzi_checkpoint_remove_old(const char *folder, const uint64_t steps[2],
                                const uint64_t bests[2])
{
    char path[SQZI_OUTPUT_PATH + 256];
    uint64_t s;
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        const bool old = (parse_name(entry->d_name, "step", "", &s) && !stays(steps, s)) ||
                         (parse_name(entry->d_name, "best", "", &s) && !stays(bests, s)) ||
                         is_left_over(entry->d_name);
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (old) (void)unlink(path);
    }
    if (dir) closedir(dir);
}
