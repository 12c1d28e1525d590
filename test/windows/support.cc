// SPDX-License-Identifier: BSD-2-Clause
#include "support.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

namespace kqtest {

bool is_wine() {
    static const bool wine =
        GetProcAddress(GetModuleHandleA("ntdll.dll"), "wine_get_version") != nullptr;
    return wine;
}

// ---- Queue ----

Queue::Queue() : fd_(kqueue()) {
    EXPECT_GE(fd_, 0) << "errno " << errno;
}

void Queue::close() {
    if (fd_ >= 0) {
        EXPECT_EQ(_close(fd_), 0);
    }
    fd_ = -1;
}

int Queue::change(uintptr_t ident, int filter, int flags, unsigned fflags, intptr_t data,
                  void* udata) {
    struct kevent kev;
    EV_SET(&kev, ident, static_cast<short>(filter), static_cast<unsigned short>(flags), fflags,
           data, udata);
    errno = 0;
    return kevent(fd_, &kev, 1, nullptr, 0, nullptr) == 0 ? 0 : errno;
}

std::vector<struct kevent> Queue::collect(int most, milliseconds wait) {
    std::vector<struct kevent> events(static_cast<size_t>(most));
    timespec timeout{};
    timeout.tv_sec = wait.count() / 1000;
    timeout.tv_nsec = static_cast<long>(wait.count() % 1000 * 1000000);
    const int count = kevent(fd_, nullptr, 0, events.data(), most, &timeout);
    EXPECT_GE(count, 0) << "errno " << errno;
    events.resize(count < 0 ? 0 : static_cast<size_t>(count));
    return events;
}

struct kevent Queue::one() {
    const std::vector<struct kevent> events = wait();
    EXPECT_EQ(events.size(), 1u);
    struct kevent event {};
    if (events.size() == 1) event = events[0];
    return event;
}

struct kevent Queue::one_beside(int filter, SinceEdge& edge) {
    for (;;) {
        std::vector<struct kevent> events = wait();
        if (events.empty()) return one();  // this fails
        const size_t all = events.size();
        std::erase_if(events, [&](const struct kevent& event) {
            return event.filter == filter && edge.is_long();
        });
        if (events.size() != all) edge.told();
        if (events.empty()) continue;
        EXPECT_EQ(events.size(), 1u);
        return events[0];
    }
}

void Queue::expect_none(milliseconds wait, SinceEdge& edge) {
    const std::vector<struct kevent> events = collect(16, wait);
    if (!events.empty() && edge.is_long())
        edge.told();
    else
        EXPECT_EQ(events.size(), 0u);
}

void Queue::expect_none(milliseconds wait) {
    const std::vector<struct kevent> events = collect(16, wait);
    EXPECT_EQ(events.size(), 0u);
    if (!events.empty())
        ADD_FAILURE() << "ident " << events[0].ident << " filter " << events[0].filter << " flags "
                      << events[0].flags << " data " << events[0].data;
}

// ---- sockets ----

namespace {

struct Winsock {
    Winsock() {
        WSADATA data;
        WSAStartup(MAKEWORD(2, 2), &data);
    }
};
const Winsock winsock;

sockaddr_in loopback() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

}  // namespace

void Socket::close() {
    if (socket_ != INVALID_SOCKET) {
        EXPECT_EQ(closesocket(socket_), 0);
    }
    socket_ = INVALID_SOCKET;
}

void Socket::reset() {
    const linger hard{1, 0};
    setsockopt(socket_, SOL_SOCKET, SO_LINGER, reinterpret_cast<const char*>(&hard), sizeof hard);
    close();
}

SOCKET Socket::release() {
    const SOCKET socket = socket_;
    socket_ = INVALID_SOCKET;
    return socket;
}

void Socket::send(const std::string& text) const {
    const int size = static_cast<int>(text.size());
    EXPECT_EQ(::send(socket_, text.data(), size, 0), size);
}

std::string Socket::receive(int most) const {
    std::string text(static_cast<size_t>(most), '\0');
    const int count = recv(socket_, text.data(), most, 0);
    EXPECT_GE(count, 0) << "error " << WSAGetLastError();
    text.resize(count < 0 ? 0 : static_cast<size_t>(count));
    return text;
}

Listener::Listener(bool listening) : socket(::socket(AF_INET, SOCK_STREAM, 0)) {
    address = loopback();
    int size = sizeof address;
    EXPECT_EQ(bind(socket.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    if (listening) {
        EXPECT_EQ(listen(socket.get(), 16), 0);
    }
}

Socket Listener::connect() const {
    Socket client(::socket(AF_INET, SOCK_STREAM, 0));
    EXPECT_EQ(::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
              0);
    return client;
}

Pair::Pair() {
    const Listener listener;
    a = listener.connect();
    b = Socket(accept(listener.socket.get(), nullptr, nullptr));
    EXPECT_NE(b.get(), INVALID_SOCKET);
}

Socket udp(sockaddr_in& address) {
    Socket socket(::socket(AF_INET, SOCK_DGRAM, 0));
    address = loopback();
    int size = sizeof address;
    EXPECT_EQ(bind(socket.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    return socket;
}

// ---- pipes and files ----

Pipe::Pipe() {
    EXPECT_EQ(_pipe(ends, 4096, _O_BINARY | _O_NOINHERIT), 0);
}
Pipe::~Pipe() {
    close(0);
    close(1);
}
void Pipe::close(int end) {
    if (ends[end] >= 0) _close(ends[end]);
    ends[end] = -1;
}

int handles() {
    int count = 0;
    for (uintptr_t h = 4; h < 8192; h += 4) {
        DWORD flags = 0;
        if (GetHandleInformation(reinterpret_cast<HANDLE>(h), &flags) != 0) count++;
    }
    return count;
}

std::string temporary_name(const char* stem) {
    static int number = 0;
    char directory[MAX_PATH];
    GetTempPathA(sizeof directory, directory);
    // Each time that Wine is started, it gives the same process numbers again.
    static const std::string run =
        std::to_string(GetCurrentProcessId()) + "-" + std::to_string(GetTickCount64());
    return std::string(directory) + stem + "-" + run + "-" + std::to_string(number++);
}

File::File(const std::string& content) : name(temporary_name("kqueue")) {
    // Other programs may rename and remove it.
    void* handle = CreateFileA(name.c_str(), GENERIC_READ | GENERIC_WRITE,
                               FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, nullptr,
                               CREATE_ALWAYS, FILE_ATTRIBUTE_NORMAL, nullptr);
    EXPECT_NE(handle, INVALID_HANDLE_VALUE);
    fd = _open_osfhandle(reinterpret_cast<intptr_t>(handle), _O_BINARY);
    write(content);
    _lseek(fd, 0, SEEK_SET);
}

File::~File() {
    if (fd >= 0) _close(fd);
    DeleteFileA(name.c_str());
}

void File::write(const std::string& text) const {
    const auto size = static_cast<unsigned>(text.size());
    if (size != 0) {
        EXPECT_EQ(_write(fd, text.data(), size), static_cast<int>(size));
    }
}

Child::Child() {
    char self[MAX_PATH];
    GetModuleFileNameA(nullptr, self, sizeof self);
    std::string line =
        std::string("\"") + self +
        "\" --gtest_brief=1 --gtest_filter=*DISABLED_Sleeps --gtest_also_run_disabled_tests";
    // The test that sleeps belongs to one shard only, but every shard needs it for its children.
    SetEnvironmentVariableA("GTEST_TOTAL_SHARDS", nullptr);
    SetEnvironmentVariableA("GTEST_SHARD_INDEX", nullptr);
    STARTUPINFOA start{};
    start.cb = sizeof start;
    started_ = CreateProcessA(nullptr, line.data(), nullptr, nullptr, FALSE, 0, nullptr, nullptr,
                              &start, &info_) != 0;
    EXPECT_TRUE(started_);
}

Child::~Child() {
    if (!started_) return;
    TerminateProcess(info_.hProcess, 0);
    WaitForSingleObject(info_.hProcess, 5000);
    CloseHandle(info_.hProcess);
    CloseHandle(info_.hThread);
}

void Child::end(unsigned code) const {
    EXPECT_TRUE(TerminateProcess(info_.hProcess, code));
}

}  // namespace kqtest
