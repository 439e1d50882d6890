/* SPDX-License-Identifier: Apache-2.0 */
/* A folder that a test makes goes with all that is in it. */
#ifndef SQZT_REMOVE_ALL_H
#define SQZT_REMOVE_ALL_H

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Files, and folders of files; path is a folder, or nothing. */
static void sqzt_remove_all(const char *path)
{
    char entry_path[1200];
    DIR *entries = opendir(path);
    for (const struct dirent *entry; entries && (entry = readdir(entries));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        snprintf(entry_path, sizeof entry_path, "%s/%s", path, entry->d_name);
        if (unlink(entry_path) != 0) sqzt_remove_all(entry_path);
    }
    if (entries) closedir(entries);
    (void)rmdir(path);
}

#endif
