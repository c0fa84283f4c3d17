#include "interop/opcua/values.h"

#include "base/varint.h"

namespace penstock::interop::opcua {
namespace {

using stream::Quality;
using stream::ValueKind;
using stream::WireValue;

constexpr uint8_t kMagic = 0x50;
constexpr uint8_t kVersion = 1;

// As connectors/opcua/src/wire.ts numbers them.
enum Kind : uint8_t { kNull, kDouble, kInteger, kFalse, kTrue, kText, kJson };

class Cursor {
 public:
  explicit Cursor(ByteView bytes) : bytes_(bytes) {}
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] size_t left() const { return bytes_.size() - at_; }
  uint8_t byte() { return need(1) ? static_cast<uint8_t>(bytes_[at_++]) : uint8_t{0}; }
  uint64_t number() {
    const auto value = read_varint([this] { return byte(); });
    if (!value) ok_ = false;
    return value.value_or(0);
  }
  template <class Number>
  Number fixed() {
    if (!need(sizeof(Number))) return {};
    const Number value = load_le<Number>(bytes_.data() + at_);
    at_ += sizeof(Number);
    return value;
  }
  std::string_view text(uint64_t size) {
    if (!need(size)) return {};
    const auto view = as_text(bytes_.subspan(at_, size));
    at_ += size;
    return view;
  }
  std::string_view text() { return text(number()); }

 private:
  bool need(uint64_t count) {
    if (count > left()) ok_ = false;
    return ok_;
  }
  ByteView bytes_;
  size_t at_ = 0;
  bool ok_ = true;
};

bool read_payload(Cursor& in, uint8_t kind, WireValue& value) {
  value.null = false;
  switch (kind) {
    case kNull:
      value.null = true;
      value.kind = ValueKind::kDouble;
      value.number = 0;
      return true;
    case kDouble:
      value.kind = ValueKind::kDouble;
      value.number = in.fixed<double>();
      return true;
    case kInteger:
      value.kind = ValueKind::kInteger;
      value.integer = unzigzag(in.number());
      return true;
    case kFalse:
    case kTrue:
      value.kind = ValueKind::kBoolean;
      value.boolean = kind == kTrue;
      return true;
    case kText:
    case kJson:
      value.kind = kind == kText ? ValueKind::kText : ValueKind::kObject;
      value.text = in.text();
      return true;
    default:
      return false;
  }
}

}  // namespace

Quality quality_of(uint32_t status_code) {
  switch (status_code >> 30) {
    case 0:
      return Quality::kGood;
    case 1:
      return Quality::kUncertain;
    default:
      return Quality::kBad;
  }
}

Status BatchReader::read(ByteView batch, const BatchLimits& limits, const Take& take) {
  const auto wrong = [](const char* what) {
    return fail(ErrorCode::kInvalidArgument,
                std::string("a batch of the OPC UA connector is damaged: ") + what);
  };
  Cursor in(batch);
  if (in.byte() != kMagic || in.byte() != kVersion) return wrong("it begins otherwise");
  int64_t time = 0;
  size_t total = 0;
  while (in.left() > 0) {
    const std::string_view device = in.text();
    const uint64_t count = in.number();
    // A value takes 8 bytes at least.
    if (!in.ok() || device.empty() || device.size() > limits.device_bytes_max ||
        count > in.left() / 8)
      return wrong("a device's head");
    total += count;
    if (total > limits.values_max) return wrong("too many values");
    values_.clear();
    addresses_.clear();
    text_.clear();
    size_t previous = 0;
    size_t previous_size = 0;
    for (uint64_t i = 0; i < count; ++i) {
      const uint64_t shared = in.number();
      const std::string_view rest = in.text();
      if (!in.ok() || shared > previous_size || shared + rest.size() > limits.address_bytes_max)
        return wrong("an address");
      const size_t at = text_.size();
      text_.append(text_, previous, shared);
      text_.append(rest);
      previous = at;
      previous_size = text_.size() - at;
      addresses_.emplace_back(at, previous_size);
      WireValue& value = values_.emplace_back();
      const uint8_t kind = in.byte();
      value.quality = quality_of(in.fixed<uint32_t>());
      // Unsigned: what a peer sends may wrap.
      time = static_cast<int64_t>(static_cast<uint64_t>(time) +
                                  static_cast<uint64_t>(unzigzag(in.number())));
      value.source_time = Timestamp{time};
      if (!read_payload(in, kind, value) || !in.ok()) return wrong("a value");
    }
    for (size_t i = 0; i < values_.size(); ++i)
      values_[i].address =
          std::string_view(text_).substr(addresses_[i].first, addresses_[i].second);
    take(device, values_);
  }
  return {};
}

}  // namespace penstock::interop::opcua
