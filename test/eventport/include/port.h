// SPDX-License-Identifier: BSD-2-Clause
// <port.h> of illumos, for programs that run on the model of event ports beside this directory.
// Written from the manual pages port_create(3C), port_associate(3C), port_get(3C), port_send(3C)
// and port_alert(3C). Names, types and values are those of illumos, except where a comment says
// otherwise.
#ifndef KQ_EVENTPORT_PORT_H
#define KQ_EVENTPORT_PORT_H

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

// On illumos these are in <sys/types.h>, <sys/time.h> and <time.h>.
typedef unsigned short ushort_t;
typedef unsigned int uint_t;
typedef struct timespec timespec_t;
typedef struct timespec timestruc_t;
#ifndef CLOCK_HIGHRES
    #define CLOCK_HIGHRES CLOCK_MONOTONIC
#endif

// sigev_notify of a timer that reports to a port. illumos has it in <sys/siginfo.h>, as 4. On
// Linux, 4 is SIGEV_THREAD_ID.
#ifndef SIGEV_PORT
    #define SIGEV_PORT 0x5050
#endif

// Sources
#define PORT_SOURCE_AIO 1
#define PORT_SOURCE_TIMER 2
#define PORT_SOURCE_USER 3
#define PORT_SOURCE_FD 4
#define PORT_SOURCE_ALERT 5
#define PORT_SOURCE_MQ 6
#define PORT_SOURCE_FILE 7

typedef struct port_event {
    int portev_events;
    ushort_t portev_source;
    ushort_t portev_pad;
    uintptr_t portev_object;
    void* portev_user;
} port_event_t;

// sigev_value.sival_ptr points to this when sigev_notify is SIGEV_PORT.
typedef struct port_notify {
    int portnfy_port;
    void* portnfy_user;
} port_notify_t;

// The object of PORT_SOURCE_FILE is the address of one of these.
typedef struct file_obj {
    timestruc_t fo_atime;
    timestruc_t fo_mtime;
    timestruc_t fo_ctime;
    uintptr_t fo_pad[3];
    char* fo_name;
} file_obj_t;

// Flags of port_alert()
#define PORT_ALERT_SET 0x01
#define PORT_ALERT_UPDATE 0x02
#define PORT_ALERT_INVALID (PORT_ALERT_SET | PORT_ALERT_UPDATE)

// Events of PORT_SOURCE_FILE that can be asked for
#define FILE_ACCESS 0x00000001
#define FILE_MODIFIED 0x00000002
#define FILE_ATTRIB 0x00000004
#define FILE_TRUNC 0x00100000
#define FILE_NOFOLLOW 0x10000000
// Events of PORT_SOURCE_FILE that are always reported and cannot be asked for
#define FILE_DELETE 0x00000010
#define FILE_RENAME_TO 0x00000020
#define FILE_RENAME_FROM 0x00000040
#define UNMOUNTED 0x20000000
#define MOUNTEDOVER 0x40000000
#define FILE_EXCEPTION (UNMOUNTED | FILE_DELETE | FILE_RENAME_TO | FILE_RENAME_FROM | MOUNTEDOVER)

#ifdef __cplusplus
extern "C" {
#endif

int port_create(void);
int port_associate(int port, int source, uintptr_t object, int events, void* user);
int port_dissociate(int port, int source, uintptr_t object);
int port_get(int port, port_event_t* event, struct timespec* timeout);
int port_getn(int port, port_event_t list[], uint_t max, uint_t* nget, struct timespec* timeout);
int port_send(int port, int events, void* user);
int port_sendn(int ports[], int errors[], uint_t nent, int events, void* user);
int port_alert(int port, int flags, int events, void* user);

#ifdef __cplusplus
}
#endif

#endif
