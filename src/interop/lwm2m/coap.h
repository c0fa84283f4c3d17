#pragma once
// CoAP messages: datagrams (RFC 7252, section 3) and frames of a stream (RFC 8323, section 3.2).
// Block options: RFC 7959. No I/O.

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"

namespace penstock::interop::lwm2m::coap {

enum class Type : uint8_t { kConfirmable, kNonConfirmable, kAcknowledgement, kReset };

/// c.dd as one byte: class in the three high bits.
constexpr uint8_t code_of(unsigned code_class, unsigned detail) {
  return static_cast<uint8_t>(code_class << 5 | detail);
}
inline constexpr uint8_t kEmpty = 0, kGet = 1, kPost = 2, kPut = 3, kDelete = 4, kFetch = 5,
                         kPatch = 6, kIpatch = 7;
inline constexpr uint8_t kCreated = code_of(2, 1), kDeleted = code_of(2, 2), kValid = code_of(2, 3),
                         kChanged = code_of(2, 4), kContent = code_of(2, 5),
                         kContinue = code_of(2, 31);
inline constexpr uint8_t kBadRequest = code_of(4, 0), kUnauthorized = code_of(4, 1),
                         kBadOption = code_of(4, 2), kForbidden = code_of(4, 3),
                         kNotFound = code_of(4, 4), kMethodNotAllowed = code_of(4, 5),
                         kNotAcceptable = code_of(4, 6), kIncomplete = code_of(4, 8),
                         kConflict = code_of(4, 9), kPreconditionFailed = code_of(4, 12),
                         kTooLarge = code_of(4, 13), kUnsupportedFormat = code_of(4, 15),
                         kInternalError = code_of(5, 0), kNotImplemented = code_of(5, 1),
                         kUnavailable = code_of(5, 3);
/// Signalling of streams (RFC 8323, section 5).
inline constexpr uint8_t kCsm = code_of(7, 1), kPing = code_of(7, 2), kPong = code_of(7, 3),
                         kRelease = code_of(7, 4), kAbort = code_of(7, 5);

inline bool is_request(uint8_t code) { return code >= 1 && code < 32; }
inline bool is_response(uint8_t code) { return code >= 64 && code < 192; }
inline bool is_success(uint8_t code) { return code >= 64 && code < 96; }
/// "2.05".
std::string code_text(uint8_t code);
/// "2.05 Content"; the number alone where it has no name.
std::string code_words(uint8_t code);

enum OptionNumber : uint16_t {
  kIfMatch = 1,
  kUriHost = 3,
  kEtag = 4,
  kIfNoneMatch = 5,
  kObserve = 6,
  kUriPort = 7,
  kLocationPath = 8,
  kUriPath = 11,
  kContentFormat = 12,
  kMaxAge = 14,
  kUriQuery = 15,
  kAccept = 17,
  kLocationQuery = 20,
  kBlock2 = 23,
  kBlock1 = 27,
  kSize2 = 28,
  kProxyUri = 35,
  kSize1 = 60,
};

struct Token {
  std::array<std::byte, 8> bytes{};
  uint8_t size = 0;
  static Token of(uint64_t number, uint8_t size);
  static Token of(ByteView bytes);  ///< REQUIRES: at most 8 bytes
  [[nodiscard]] ByteView view() const { return {bytes.data(), size}; }
  [[nodiscard]] uint64_t number() const;  ///< big-endian
  friend bool operator==(const Token&, const Token&) = default;
};

struct Option {
  uint16_t number = 0;
  ByteView value;
};

/// Block1 or Block2 (RFC 7959, 2.2).
struct Block {
  uint32_t number = 0;
  bool more = false;
  uint8_t szx = 6;  ///< 16 << szx bytes; 7 (BERT) is read as 6
  [[nodiscard]] size_t size() const { return size_t{16} << szx; }
  [[nodiscard]] size_t offset() const { return number * size(); }
};

/// A message as it came. Views into the bytes that were read.
class Message {
 public:
  static constexpr size_t kOptionsMax = 40;
  Type type = Type::kConfirmable;
  uint8_t code = 0;
  uint16_t id = 0;
  Token token;
  ByteView payload;

  [[nodiscard]] std::span<const Option> options() const { return {options_.data(), count_}; }
  /// The first of that number; nothing: none.
  [[nodiscard]] std::optional<ByteView> option(uint16_t number) const;
  /// Its unsigned number (RFC 7252, 3.2); nothing where it has none or more than 4 bytes.
  [[nodiscard]] std::optional<uint32_t> number(uint16_t option_number) const;
  [[nodiscard]] std::optional<Block> block(uint16_t option_number) const;
  /// "/rd/a1"; parts are as they came.
  void path(std::string& out) const;
  /// The value of "name=value" among the queries; nothing: none. A query without '=' gives "".
  [[nodiscard]] std::optional<std::string_view> query(std::string_view name) const;
  /// A critical option (RFC 7252, 5.4.1) that this server does not know.
  [[nodiscard]] bool has_unknown_critical() const;

 private:
  friend bool read_options(ByteView bytes, Message& out);
  std::array<Option, kOptionsMax> options_;
  size_t count_ = 0;
};

enum class ReadResult : uint8_t {
  kDone,
  kIgnore,   ///< not CoAP: no answer (RFC 7252, 3)
  kBroken,   ///< a message format error; `type` and `id` are read: a CON gets a Reset
  kMore,     ///< streams: the frame is not whole yet
  kTooLong,  ///< streams: longer than allowed
};
ReadResult read_datagram(ByteView bytes, Message& out);
/// The frame at the front of `bytes`; `size` is what it takes.
ReadResult read_frame(ByteView bytes, size_t frame_bytes_max, Message& out, size_t& size);

/// A message to send.
struct Outgoing {
  Type type = Type::kConfirmable;
  uint8_t code = 0;
  uint16_t id = 0;
  Token token;
  std::vector<std::pair<uint16_t, std::string>> options;  ///< any order; equal numbers keep theirs
  Bytes payload;

  void add(uint16_t number, std::string_view value) { options.emplace_back(number, value); }
  void add_number(uint16_t number, uint32_t value);
  void add_block(uint16_t number, const Block& block);
  /// Each part of "/a/b" as a Uri-Path (or Location-Path).
  void add_path(std::string_view path, uint16_t number = kUriPath);
};
void write_datagram(const Outgoing& message, Bytes& out);
void write_frame(const Outgoing& message, Bytes& out);
/// An empty acknowledgement or reset.
std::array<std::byte, 4> empty_message(Type type, uint16_t id);

}  // namespace penstock::interop::lwm2m::coap
