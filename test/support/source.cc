// SPDX-License-Identifier: BSD-2-Clause
#include "support/source.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/net.h"

namespace kqtest {
namespace {

// The reading end of a pair of descriptors. Three bytes make it ready.
class ReadSource : public Source {
  public:
    ReadSource(Fd reader, Fd writer) : reader_(std::move(reader)), writer_(std::move(writer)) {}
    int filter() const override { return EVFILT_READ; }
    int ident() const override { return *reader_; }
    void ready() override {
        write_bytes(*writer_, 3);
        bytes_ += 3;
        eventually([&] { return bytes_to_read(*reader_) == bytes_; });  // TCP may take its time
    }
    void idle() override {
        drain(*reader_);
        bytes_ = 0;
    }
    std::optional<intptr_t> data() const override { return bytes_; }

  private:
    Fd reader_;
    Fd writer_;
    intptr_t bytes_ = 0;
};

// The buffer between a pair of descriptors is full, or empty.
class WriteSource : public Source {
  public:
    WriteSource(Fd reader, Fd writer) : reader_(std::move(reader)), writer_(std::move(writer)) {
        WriteSource::idle();
    }
    int filter() const override { return EVFILT_WRITE; }
    int ident() const override { return *writer_; }
    void ready() override {
        if (drain(*reader_) > 0) return;
        write_bytes(*writer_, 1);
        drain(*reader_);
    }
    void idle() override { fill(*writer_); }
    std::optional<intptr_t> data() const override { return std::nullopt; }

  private:
    Fd reader_;
    Fd writer_;
};

class FileSource : public Source {
  public:
    int filter() const override { return EVFILT_READ; }
    int ident() const override { return *file_.fd; }
    void ready() override { write_bytes(*appender_, 3); }
    void idle() override { ::lseek(*file_.fd, 0, SEEK_END); }
    std::optional<intptr_t> data() const override {
        const off_t offset = ::lseek(*file_.fd, 0, SEEK_CUR);
        return static_cast<intptr_t>(::lseek(*appender_, 0, SEEK_END) - offset);
    }

  private:
    TempFile file_;
    Fd appender_ = open_file(file_.path, O_WRONLY | O_APPEND);
};

// Ready while it has a pending event of its own.
class KqueueSource : public Source {
  public:
    KqueueSource() {
        EXPECT_EQ(inner_.apply(kqtest::change(1, EVFILT_USER, EV_ADD | EV_CLEAR)), 0);
    }
    int filter() const override { return EVFILT_READ; }
    int ident() const override { return inner_.fd(); }
    void ready() override {
        EXPECT_EQ(inner_.apply(kqtest::change(1, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
    }
    void idle() override { inner_.collect(); }
    std::optional<intptr_t> data() const override { return 1; }

  private:
    Queue inner_;
};

std::unique_ptr<Source> reader(Pair pair) {
    return std::make_unique<ReadSource>(std::move(pair.first), std::move(pair.second));
}

std::unique_ptr<Source> writer(Pair pair) {
    return std::make_unique<WriteSource>(std::move(pair.first), std::move(pair.second));
}

Pair pipe_pair() {
    Pipe p = make_pipe();
    return {std::move(p.read), std::move(p.write)};
}

}  // namespace

void Source::expect_report(const std::vector<Event>& events, int flags, void* udata,
                           const char* file, int line) const {
    const intptr_t guess = events.size() == 1 ? events[0].data : 0;
    expect_only(events, ident(), filter(), flags, 0, data().value_or(guess), udata, file, line);
}

std::ostream& operator<<(std::ostream& out, const SourceKind& kind) {
    return out << kind.name;
}

std::vector<SourceKind> level_sources() {
    return {
        {"PipeRead", [] { return reader(pipe_pair()); }},
        {"UnixRead", [] { return reader(make_socketpair(SOCK_STREAM)); }},
        {"TcpRead", [] { return reader(make_tcp_pair()); }},
        {"FileRead", [] { return std::unique_ptr<Source>(new FileSource); }},
        {"KqueueRead", [] { return std::unique_ptr<Source>(new KqueueSource); }},
        {"PipeWrite", [] { return writer(pipe_pair()); }},
        {"UnixWrite", [] { return writer(make_socketpair(SOCK_STREAM)); }},
    };
}

}  // namespace kqtest
