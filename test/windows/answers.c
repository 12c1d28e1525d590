/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Questions that Windows and Wine 8 answer differently, one for each group of rows in
 * support/gaps_wine.inc. They show why the rows are needed. The program does not use libkqueue.
 *
 * Under Wine it fails if Wine answers a question as Windows does, and says which rows must be
 * removed. On Windows it fails if Windows answers otherwise: then its documentation was
 * misunderstood.
 */
#include <winsock2.h>
/* winsock2.h has to come before windows.h */
#include <windows.h>

#include <stdio.h>
#include <string.h>
#include <winternl.h>

#define AFD_POLL 0x12024u
#define AFD_RECEIVE 0x1u
#define AFD_DISCONNECT 0x8u

struct afd_poll {
    LARGE_INTEGER timeout;
    ULONG count;
    ULONG exclusive;
    HANDLE handle;
    ULONG events;
    LONG status;
};

static SOCKET pair[2];

/* Waits, for something that takes a moment on a network. */
static void nap(void) {
    Sleep(100);
}

static struct sockaddr* address(struct sockaddr_in* a) {
    memset(a, 0, sizeof *a);
    a->sin_family = AF_INET;
    a->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return (struct sockaddr*)a;
}

static SOCKET bound(int type, struct sockaddr_in* a) {
    int size = sizeof *a;
    const SOCKET s = socket(AF_INET, type, 0);
    bind(s, address(a), size);
    getsockname(s, (struct sockaddr*)a, &size);
    return s;
}

static void connect_pair(void) {
    struct sockaddr_in a;
    const SOCKET listener = bound(SOCK_STREAM, &a);
    listen(listener, 1);
    pair[0] = socket(AF_INET, SOCK_STREAM, 0);
    connect(pair[0], (struct sockaddr*)&a, sizeof a);
    pair[1] = accept(listener, NULL, NULL);
    closesocket(listener);
}

static u_long bytes_in(SOCKET s) {
    u_long bytes = 0;
    ioctlsocket(s, FIONREAD, &bytes);
    return bytes;
}

static int unix_sockets(void) {
    return socket(AF_UNIX, SOCK_STREAM, 0) != INVALID_SOCKET;
}

/* AFD reports the end of the stream although there are bytes to read. */
static int end_behind_data(void) {
    static wchar_t name[] = L"\\Device\\Afd\\answers";
    UNICODE_STRING path = {sizeof name - sizeof *name, sizeof name, name};
    OBJECT_ATTRIBUTES attributes;
    IO_STATUS_BLOCK io;
    HANDLE afd = NULL;
    struct afd_poll poll;
    InitializeObjectAttributes(&attributes, &path, 0, NULL, NULL);
    if (NtCreateFile(&afd, SYNCHRONIZE, &attributes, &io, NULL, 0,
                     FILE_SHARE_READ | FILE_SHARE_WRITE, FILE_OPEN, FILE_SYNCHRONOUS_IO_NONALERT,
                     NULL, 0) < 0)
        return -1;
    connect_pair();
    send(pair[0], "x", 1, 0);
    shutdown(pair[0], SD_SEND);
    nap();
    memset(&poll, 0, sizeof poll);
    poll.count = 1;
    poll.handle = (HANDLE)pair[1];
    poll.events = AFD_RECEIVE | AFD_DISCONNECT;
    if (NtDeviceIoControlFile(afd, NULL, NULL, NULL, &io, AFD_POLL, &poll, sizeof poll, &poll,
                              sizeof poll) < 0 ||
        poll.count != 1 || (poll.events & AFD_RECEIVE) == 0)
        return -1;
    return (poll.events & AFD_DISCONNECT) != 0;
}

static int urgent_counted(void) {
    connect_pair();
    send(pair[0], "abc", 3, 0);
    send(pair[0], "!", 1, MSG_OOB);
    send(pair[0], "def", 3, 0);
    nap();
    return bytes_in(pair[1]) >= 6;
}

static int datagrams_counted(void) {
    struct sockaddr_in a;
    const SOCKET to = bound(SOCK_DGRAM, &a);
    const SOCKET from = socket(AF_INET, SOCK_DGRAM, 0);
    sendto(from, "abc", 3, 0, (struct sockaddr*)&a, sizeof a);
    sendto(from, "defgh", 5, 0, (struct sockaddr*)&a, sizeof a);
    nap();
    return bytes_in(to) == 8;
}

static int reset_told(void) {
    const struct linger at_once = {1, 0};
    char byte;
    connect_pair();
    setsockopt(pair[0], SOL_SOCKET, SO_LINGER, (const char*)&at_once, sizeof at_once);
    closesocket(pair[0]);
    nap();
    return recv(pair[1], &byte, 1, 0) == -1 && WSAGetLastError() == WSAECONNRESET;
}

/* A datagram is sent to a port whose socket was closed. */
static int unreachable_told(void) {
    struct sockaddr_in a;
    u_long nonblocking = 1;
    char byte;
    const SOCKET from = socket(AF_INET, SOCK_DGRAM, 0);
    closesocket(bound(SOCK_DGRAM, &a));
    sendto(from, "x", 1, 0, (struct sockaddr*)&a, sizeof a);
    nap();
    ioctlsocket(from, (long)FIONBIO, &nonblocking);
    return recv(from, &byte, 1, 0) == -1 && WSAGetLastError() == WSAECONNRESET;
}

static int pipe_room_counted(void) {
    enum { local_information = 24, write_quota = 7 };
    ULONG information[10] = {0};
    IO_STATUS_BLOCK io;
    HANDLE reader, writer;
    if (!CreatePipe(&reader, &writer, NULL, 4096)) return -1;
    if (NtQueryInformationFile(writer, &io, information, sizeof information,
                               (FILE_INFORMATION_CLASS)local_information) < 0)
        return -1;
    return information[write_quota] != 0;
}

/* Windows does so since Windows 10 1809. */
static int name_goes(void) {
    char directory[MAX_PATH], name[MAX_PATH];
    HANDLE file;
    int gone;
    GetTempPathA(sizeof directory, directory);
    GetTempFileNameA(directory, "kqa", 0, name);
    file = CreateFileA(name, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
                       NULL, OPEN_EXISTING, 0, NULL);
    if (file == INVALID_HANDLE_VALUE || !DeleteFileA(name)) return -1;
    gone = GetFileAttributesA(name) == INVALID_FILE_ATTRIBUTES &&
           GetLastError() == ERROR_FILE_NOT_FOUND;
    CloseHandle(file);
    return gone;
}

/* `group` is the comment over the rows, up to its first full stop or colon. answer() returns -1
   if the question could not be asked. */
static const struct {
    int (*answer)(void);
    const char* name;
    const char* group;
} questions[] = {
    {unix_sockets, "unix_sockets", "There is no AF_UNIX"},
    {end_behind_data, "end_behind_data", "The end of a stream is reported after all was read"},
    {urgent_counted, "urgent_counted",
     "FIONREAD stops at an urgent byte, and at the end of the first datagram"},
    {datagrams_counted, "datagrams_counted",
     "FIONREAD stops at an urgent byte, and at the end of the first datagram"},
    {reset_told, "reset_told",
     "recv() and SO_ERROR give 0 after a reset or a connect() that failed"},
    {unreachable_told, "unreachable_told",
     "No error is reported if no socket had the port to which a datagram was sent"},
    {pipe_room_counted, "pipe_room_counted", "The free space of pipes is not counted"},
    {name_goes, "name_goes", "A file that is open loses no name before it is closed"},
};

int main(void) {
    const int wine = GetProcAddress(GetModuleHandleA("ntdll.dll"), "wine_get_version") != NULL;
    size_t i;
    int wrong = 0;
    WSADATA data;
    WSAStartup(MAKEWORD(2, 2), &data);
    for (i = 0; i < sizeof questions / sizeof *questions; i++) {
        const int answer = questions[i].answer();
        if (answer < 0)
            printf("%s: FAILED, it cannot be asked\n", questions[i].name);
        else
            printf("%s: %s Windows\n", questions[i].name, answer ? "as" : "otherwise than");
        if (wine && answer == 1)
            printf(
                "FAILED: this Wine can do it: remove from test/support/gaps_wine.inc what its "
                "group says, and from BUGS.md, W-WINE: \"%s\"; and see where test/windows asks "
                "is_wine()\n",
                questions[i].group);
        if (answer != !wine) wrong = 1;
    }
    return wrong;
}
