/* SPDX-License-Identifier: Apache-2.0 */
/* Names of outputs: what they stand for, where their links lead, under which name they are
 * written, and what is said where that cannot be. */
#define _DEFAULT_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file_writer.h"

enum { MAX_LINKS = 40, LONGEST_NAME = 255, LETTERS = 8 };

int sqzi_place_descriptor(const char *path)
{
    static const char *const folders[] = {"/dev/fd/", "/proc/self/fd/"};
    if (strcmp(path, "-") == 0 || strcmp(path, "/dev/stdout") == 0) return STDOUT_FILENO;
    if (strcmp(path, "/dev/stderr") == 0) return STDERR_FILENO;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        const size_t n = strlen(folders[i]);
        char *end;
        if (strncmp(path, folders[i], n) != 0 || path[n] < '0' || path[n] > '9') continue;
        const long number = strtol(path + n, &end, 10);
        if (!*end && number <= 1 << 20) return (int)number;
    }
    return -1;
}

static sqzi_place kind_of(const char *path)
{
    struct stat facts;
    if (sqzi_place_descriptor(path) >= 0) return SQZI_PLACE_STREAM;
    const size_t n = strlen(path);
    if (stat(path, &facts) != 0) return path[n - 1] == '/' ? SQZI_PLACE_FOLDER : SQZI_PLACE_FILE;
    return S_ISREG(facts.st_mode)   ? SQZI_PLACE_FILE
           : S_ISDIR(facts.st_mode) ? SQZI_PLACE_FOLDER
                                    : SQZI_PLACE_STREAM;
}

/* One step along the link that `place` is; false where it is none. A target that does not begin at
 * the root is seen from the link's folder. */
static bool follow(char place[SQZI_OUTPUT_PATH], bool *too_long)
{
    char target[SQZI_OUTPUT_PATH];
    const ssize_t n = readlink(place, target, sizeof target - 1);
    if (n < 0) return false;
    const char *slash = strrchr(place, '/');
    const size_t folder = n > 0 && target[0] != '/' && slash ? (size_t)(slash + 1 - place) : 0;
    *too_long = folder + (size_t)n >= SQZI_OUTPUT_PATH;
    if (*too_long) return false;
    memcpy(place + folder, target, (size_t)n);
    place[folder + (size_t)n] = '\0';
    return true;
}

sqz_status sqzi_place_find(const char *path, char place[SQZI_OUTPUT_PATH], sqzi_place *kind,
                           sqz_error *error)
{
    const size_t n = strlen(path);
    bool too_long = n >= SQZI_OUTPUT_PATH;
    int links = 0;
    if (n == 0)
        return sqzi_fail(error, SQZ_EINVAL, 0, "the name of the output is empty: name a file");
    if (too_long) return sqzi_place_fail(path, NULL, ENAMETOOLONG, error);
    memcpy(place, path, n + 1);
    *kind = kind_of(path);
    if (*kind == SQZI_PLACE_STREAM) return SQZ_OK;
    while (links < MAX_LINKS && follow(place, &too_long)) links++;
    if (links == MAX_LINKS) return sqzi_place_fail(path, NULL, ELOOP, error);
    return too_long ? sqzi_place_fail(path, NULL, ENAMETOOLONG, error) : SQZ_OK;
}

/* Letters that two processes do not share, even where they have one number on two machines. Where
 * the system has no random numbers, the clock and a count stand in; O_EXCL sees what they miss. */
static void random_letters(char letters[LETTERS + 1])
{
    static const char alphabet[] = "abcdefghijkmnpqrstuvwxyz23456789"; /* 32 */
    static atomic_uint calls;
    uint64_t bits;
    if (getentropy(&bits, sizeof bits) != 0) {
        struct timespec now = {0};
        clock_gettime(CLOCK_REALTIME, &now);
        bits = ((uint64_t)now.tv_nsec << 20) ^ (uint64_t)getpid() ^
               ((uint64_t)atomic_fetch_add(&calls, 1) << 10);
    }
    for (int i = 0; i < LETTERS; i++, bits >>= 5) letters[i] = alphabet[bits & 31];
    letters[LETTERS] = '\0';
}

void sqzi_place_temporary(const char *place,
                          char temporary[SQZI_OUTPUT_PATH + SQZI_TEMPORARY_SUFFIX])
{
    char letters[LETTERS + 1];
    const char *slash = strrchr(place, '/');
    const size_t folder = slash ? (size_t)(slash + 1 - place) : 0;
    size_t name = strlen(place) - folder;
    const size_t longest = LONGEST_NAME - (LETTERS + sizeof "..tmp" - 1);
    if (name > longest) /* at the start of a code point */
        for (name = longest; name > 0 && (place[folder + name] & 0xC0) == 0x80;) name--;
    random_letters(letters);
    snprintf(temporary, SQZI_OUTPUT_PATH + SQZI_TEMPORARY_SUFFIX, "%.*s.%s.tmp",
             (int)(folder + name), place, letters);
}

static void folder_of(const char *place, char folder[SQZI_OUTPUT_PATH])
{
    snprintf(folder, SQZI_OUTPUT_PATH, "%s", place);
    char *slash = strrchr(folder, '/');
    if (slash) slash[slash == folder ? 1 : 0] = '\0';
    else memcpy(folder, ".", 2);
}

void sqzi_place_sync_folder(const char *place)
{
    char path[SQZI_OUTPUT_PATH];
    folder_of(place, path);
    const int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return;
    (void)fsync(folder);
    close(folder);
}

sqz_status sqzi_place_fail(const char *path, const char *place, int reason, sqz_error *error)
{
    char folder[SQZI_OUTPUT_PATH];
    struct stat facts;
    if (place && (reason == ENOENT || reason == ENOTDIR)) {
        folder_of(place, folder);
        if (stat(folder, &facts) != 0 || !S_ISDIR(facts.st_mode))
            return sqzi_fail(error, SQZ_EOUTPUT, 0,
                             "%s: cannot write: there is no folder %s; make it, or name another "
                             "place",
                             path, folder);
    }
    return sqzi_fail(error, sqz_status_of_errno(reason, 1), 0, "%s: cannot write: %s", path,
                     strerror(reason));
}
