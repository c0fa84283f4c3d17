#include "stream/history/block.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <unordered_map>

#include "base/check.h"
#include "base/varint.h"

namespace penstock::stream::history {
namespace {

constexpr uint8_t kFormat = 1;
constexpr size_t kRun = 256;  // values that share one way of packing
constexpr int kDecimalsMax = 9;
constexpr std::array<double, kDecimalsMax + 1> kPowers{1,   1e1, 1e2, 1e3, 1e4,
                                                       1e5, 1e6, 1e7, 1e8, 1e9};

// How a run is packed: low nibble the way, high nibble the decimals (doubles only).
enum Way : uint8_t { kOffsets = 0, kDifferences = 1, kPlain = 2 };

class Out {
 public:
  explicit Out(std::string& bytes) : bytes_(bytes) {}
  void byte(uint8_t value) { bytes_.push_back(static_cast<char>(value)); }
  void varint(uint64_t value) {
    write_varint(value, [this](uint8_t part) { byte(part); });
  }
  void zigzag(int64_t value) { varint(penstock::zigzag(value)); }
  void word(uint64_t value) { bytes_.append(reinterpret_cast<const char*>(&value), sizeof value); }
  void text(std::string_view text) { bytes_.append(text); }
  // `count` numbers of `width` bits, little-endian, the last byte filled with zeros.
  void packed(const uint64_t* values, size_t count, unsigned width) {
    if (width == 0) return;
    const size_t at = bytes_.size();
    bytes_.resize(at + (count * width + 7) / 8 + 8);  // room for whole words
    char* to = bytes_.data() + at;
    unsigned __int128 waiting = 0;
    unsigned filled = 0;
    for (size_t i = 0; i < count; ++i) {
      waiting |= static_cast<unsigned __int128>(values[i]) << filled;
      filled += width;
      if (filled >= 64) {
        const auto full = static_cast<uint64_t>(waiting);
        std::memcpy(to, &full, 8);
        to += 8;
        waiting >>= 64;
        filled -= 64;
      }
    }
    const auto rest = static_cast<uint64_t>(waiting);
    std::memcpy(to, &rest, 8);
    bytes_.resize(at + (count * width + 7) / 8);
  }

 private:
  std::string& bytes_;
};

// Sticky failure, as ByteReader.
class In {
 public:
  explicit In(std::string_view bytes) : rest_(bytes) {}
  uint8_t byte() {
    if (rest_.empty()) return failed_ = true, uint8_t{0};
    const auto value = static_cast<uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return value;
  }
  uint64_t varint() {
    const auto value = read_varint([this] { return byte(); });
    if (!value) failed_ = true;
    return value.value_or(0);
  }
  int64_t zigzag() { return unzigzag(varint()); }
  std::string_view text(size_t size) {
    if (rest_.size() < size) return failed_ = true, std::string_view{};
    const auto out = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return out;
  }
  void packed(uint64_t* values, size_t count, unsigned width) {
    if (width == 0 || width > 64) {
      failed_ |= width > 64;
      std::fill_n(values, count, 0);
      return;
    }
    const std::string_view bytes = text((count * width + 7) / 8);
    if (bytes.empty()) return;
    const uint64_t mask = width == 64 ? ~0ULL : (1ULL << width) - 1;
    unsigned __int128 waiting = 0;
    unsigned filled = 0;
    size_t at = 0;
    for (size_t i = 0; i < count; ++i) {
      if (filled < width) {
        uint64_t next = 0;
        const size_t take = std::min<size_t>(8, bytes.size() - at);
        if (take == 8)
          std::memcpy(&next, bytes.data() + at, 8);
        else
          std::memcpy(&next, bytes.data() + at, take);
        at += take;
        waiting |= static_cast<unsigned __int128>(next) << filled;
        filled += static_cast<unsigned>(take * 8);
      }
      values[i] = static_cast<uint64_t>(waiting) & mask;
      waiting >>= width;
      filled -= width;
    }
  }
  void fail() { failed_ = true; }
  [[nodiscard]] bool ok() const { return !failed_; }
  [[nodiscard]] bool done() const { return rest_.empty(); }

 private:
  std::string_view rest_;
  bool failed_ = false;
};

struct Range {
  int64_t low = 0;
  unsigned width = 0;
};

Range range_of(const int64_t* values, size_t count) {
  if (count == 0) return {};
  int64_t low = values[0], high = values[0];
  for (size_t i = 1; i < count; ++i) {
    low = std::min(low, values[i]);
    high = std::max(high, values[i]);
  }
  return {low, static_cast<unsigned>(
                   std::bit_width(static_cast<uint64_t>(high) - static_cast<uint64_t>(low)))};
}

// One run of integers, the shorter of two ways: above the lowest, or the steps from one to the
// next.
void put_run(Out& out, const int64_t* values, size_t count, uint8_t decimals) {
  std::array<int64_t, kRun> steps;
  for (size_t i = 1; i < count; ++i)
    steps[i - 1] = static_cast<int64_t>(static_cast<uint64_t>(values[i]) -
                                        static_cast<uint64_t>(values[i - 1]));
  const Range offsets = range_of(values, count);
  const Range differences = range_of(steps.data(), count - 1);
  std::array<uint64_t, kRun> packed;
  if (differences.width < offsets.width) {
    out.byte(static_cast<uint8_t>(kDifferences | decimals << 4));
    out.zigzag(values[0]);
    out.zigzag(differences.low);
    out.byte(static_cast<uint8_t>(differences.width));
    for (size_t i = 0; i + 1 < count; ++i)
      packed[i] = static_cast<uint64_t>(steps[i]) - static_cast<uint64_t>(differences.low);
    out.packed(packed.data(), count - 1, differences.width);
    return;
  }
  out.byte(static_cast<uint8_t>(kOffsets | decimals << 4));
  out.zigzag(offsets.low);
  out.byte(static_cast<uint8_t>(offsets.width));
  for (size_t i = 0; i < count; ++i)
    packed[i] = static_cast<uint64_t>(values[i]) - static_cast<uint64_t>(offsets.low);
  out.packed(packed.data(), count, offsets.width);
}

bool get_integers(In& in, uint8_t way, int64_t* values, size_t count) {
  std::array<uint64_t, kRun> packed;
  if ((way & 0xf) == kDifferences) {
    auto value = static_cast<uint64_t>(in.zigzag());
    const auto low = static_cast<uint64_t>(in.zigzag());
    const uint8_t width = in.byte();
    in.packed(packed.data(), count - 1, width);
    values[0] = static_cast<int64_t>(value);
    for (size_t i = 1; i < count; ++i) {
      value += low + packed[i - 1];
      values[i] = static_cast<int64_t>(value);
    }
  } else if ((way & 0xf) == kOffsets) {
    const auto low = static_cast<uint64_t>(in.zigzag());
    const uint8_t width = in.byte();
    in.packed(packed.data(), count, width);
    for (size_t i = 0; i < count; ++i) values[i] = static_cast<int64_t>(low + packed[i]);
  } else {
    return false;
  }
  return in.ok();
}

void put_integers(Out& out, std::span<const int64_t> values) {
  for (size_t at = 0; at < values.size(); at += kRun)
    put_run(out, values.data() + at, std::min(kRun, values.size() - at), 0);
}

bool get_integers(In& in, std::span<int64_t> values) {
  for (size_t at = 0; at < values.size(); at += kRun)
    if (!get_integers(in, in.byte(), values.data() + at, std::min(kRun, values.size() - at)))
      return false;
  return true;
}

// The nearest integer for |value| < 2^51, by the rounding of the addition (round to even).
double nearest(double value) {
  constexpr double kMagic = 6755399441055744.0;  // 1.5 * 2^52
  return (value + kMagic) - kMagic;
}

bool is_decimal(double value, int decimals) {
  const double scaled = value * kPowers[static_cast<size_t>(decimals)];
  if (!(std::abs(scaled) < 2251799813685248.0)) return false;
  const double back = nearest(scaled) / kPowers[static_cast<size_t>(decimals)];
  return std::bit_cast<uint64_t>(back) == std::bit_cast<uint64_t>(value);
}

// Sensors speak in decimals: 7.31 is stored as 731 and two decimals, bit for bit reversible (the
// idea of ALP, Afroozeh, Kuffo, Boncz, SIGMOD 2024). What is no short decimal stays as it is.
void put_doubles(Out& out, std::span<const double> values) {
  std::array<int64_t, kRun> integers;
  for (size_t at = 0; at < values.size(); at += kRun) {
    const size_t count = std::min(kRun, values.size() - at);
    const double* run = values.data() + at;
    int decimals = 0;
    for (size_t i = 0; i < count && decimals <= kDecimalsMax; ++i)
      while (decimals <= kDecimalsMax && !is_decimal(run[i], decimals)) ++decimals;
    bool fits = decimals <= kDecimalsMax;
    for (size_t i = 0; i < count && fits; ++i) {
      fits = is_decimal(run[i], decimals);  // more decimals may have made an earlier one too large
      if (fits)
        integers[i] =
            static_cast<int64_t>(nearest(run[i] * kPowers[static_cast<size_t>(decimals)]));
    }
    if (fits) {
      put_run(out, integers.data(), count, static_cast<uint8_t>(decimals));
      continue;
    }
    out.byte(kPlain);
    for (size_t i = 0; i < count; ++i) out.word(std::bit_cast<uint64_t>(run[i]));
  }
}

// Passes over what get_integers(in, way, …) would read.
bool skip_integers(In& in, uint8_t way, size_t count) {
  if ((way & 0xf) > kDifferences) return false;
  const bool differences = (way & 0xf) == kDifferences;
  in.zigzag();
  if (differences) in.zigzag();
  const uint8_t width = in.byte();
  if (width > 64) return false;
  in.text(((differences ? count - 1 : count) * width + 7) / 8);
  return in.ok();
}

bool skip_doubles(In& in, size_t count) {
  for (size_t at = 0; at < count; at += kRun) {
    const size_t run = std::min(kRun, count - at);
    const uint8_t way = in.byte();
    if ((way & 0xf) == kPlain)
      in.text(run * sizeof(double));
    else if (!skip_integers(in, way, run))
      return false;
  }
  return in.ok();
}

bool get_doubles(In& in, std::span<double> values) {
  std::array<int64_t, kRun> integers;
  for (size_t at = 0; at < values.size(); at += kRun) {
    const size_t count = std::min(kRun, values.size() - at);
    const uint8_t way = in.byte();
    if ((way & 0xf) == kPlain) {
      const auto bytes = in.text(count * sizeof(double));
      if (!in.ok()) return false;
      std::memcpy(values.data() + at, bytes.data(), bytes.size());
      continue;
    }
    if (way >> 4 > kDecimalsMax || !get_integers(in, way, integers.data(), count)) return false;
    const double power = kPowers[way >> 4];
    for (size_t i = 0; i < count; ++i) values[at + i] = static_cast<double>(integers[i]) / power;
  }
  return true;
}

// Texts repeat (modes, states): each different one once, then numbers.
void put_texts(Out& out, std::span<const Point> points, std::string_view arena) {
  std::unordered_map<std::string_view, int64_t> known;
  std::vector<std::string_view> different;
  std::vector<int64_t> numbers;
  numbers.reserve(points.size());
  for (const Point& point : points) {
    const auto [entry, added] =
        known.emplace(point.text(arena), static_cast<int64_t>(different.size()));
    if (added) different.push_back(entry->first);
    numbers.push_back(entry->second);
  }
  out.varint(different.size());
  for (const auto text : different) out.varint(text.size());
  for (const auto text : different) out.text(text);
  put_integers(out, numbers);
}

bool get_texts(In& in, std::span<uint64_t> bits, std::string& arena) {
  const uint64_t different = in.varint();
  if (different == 0 || different > bits.size()) return false;
  std::vector<uint64_t> sizes(different), refs(different);
  for (auto& size : sizes) size = in.varint();
  for (size_t i = 0; i < different; ++i) {
    const auto text = in.text(sizes[i]);
    if (!in.ok()) return false;
    refs[i] = add_text(arena, text);
  }
  std::vector<int64_t> numbers(bits.size());
  if (!get_integers(in, numbers)) return false;
  for (size_t i = 0; i < bits.size(); ++i) {
    if (numbers[i] < 0 || static_cast<uint64_t>(numbers[i]) >= different) return false;
    bits[i] = refs[static_cast<size_t>(numbers[i])];
  }
  return true;
}

// Times share their unit: µs, ms or s, as coarse as all of them allow.
void put_times(Out& out, std::span<int64_t> times) {
  uint8_t unit = 2;
  for (const int64_t time : times) {
    if (unit == 2 && time % 1'000'000 != 0) unit = 1;
    if (unit == 1 && time % 1'000 != 0) {
      unit = 0;
      break;
    }
  }
  const int64_t divisor = unit == 2 ? 1'000'000 : unit == 1 ? 1'000 : 1;
  if (divisor > 1)
    for (int64_t& time : times) time /= divisor;
  out.byte(unit);
  put_integers(out, times);
}

bool get_times(In& in, std::span<int64_t> times) {
  const uint8_t unit = in.byte();
  if (unit > 2 || !get_integers(in, times)) return false;
  const int64_t factor = unit == 2 ? 1'000'000 : unit == 1 ? 1'000 : 1;
  for (int64_t& time : times)
    time = static_cast<int64_t>(static_cast<uint64_t>(time) * static_cast<uint64_t>(factor));
  return true;
}

void put_qualities(Out& out, std::span<const Point> points) {
  const auto first = points.front().quality;
  const bool same =
      std::all_of(points.begin(), points.end(), [&](const Point& p) { return p.quality == first; });
  out.byte(same ? static_cast<uint8_t>(first) : 0xff);
  if (same) return;
  std::vector<uint64_t> values;
  values.reserve(points.size());
  for (const Point& point : points) values.push_back(static_cast<uint64_t>(point.quality));
  out.packed(values.data(), values.size(), 2);
}

bool get_qualities(In& in, std::span<uint64_t> qualities) {
  const uint8_t same = in.byte();
  if (same == 0xff)
    in.packed(qualities.data(), qualities.size(), 2);
  else
    std::fill(qualities.begin(), qualities.end(), same);
  return in.ok() &&
         std::all_of(qualities.begin(), qualities.end(), [](uint64_t q) { return q <= 2; });
}

// Scratch space of the thread that packs or unpacks: kept, so that the warm path allocates nothing.
struct Scratch {
  std::vector<int64_t> times = std::vector<int64_t>(kBlockPointsMax);
  std::vector<uint64_t> bits = std::vector<uint64_t>(kBlockPointsMax);
  std::vector<uint64_t> qualities = std::vector<uint64_t>(kBlockPointsMax);
  std::vector<double> numbers = std::vector<double>(kBlockPointsMax);
};
Scratch& scratch() {
  static thread_local Scratch space;
  return space;
}

constexpr std::array<double Bucket::*, 5> kNumbers{&Bucket::sum, &Bucket::min, &Bucket::max,
                                                   &Bucket::first, &Bucket::last};
constexpr std::array<uint32_t Bucket::*, 3> kCounts{&Bucket::good, &Bucket::uncertain,
                                                    &Bucket::bad};
constexpr uint8_t kBucketsMark = 0x10;

}  // namespace

void encode_points(std::span<const Point> points, std::string_view text, std::string& bytes) {
  CHECK(!points.empty() && points.size() <= kBlockPointsMax);
  Out out(bytes);
  Scratch& space = scratch();
  out.byte(kFormat);
  out.byte(static_cast<uint8_t>(points.front().kind));
  out.varint(points.size());
  for (size_t i = 0; i < points.size(); ++i) space.times[i] = points[i].time_us;
  put_times(out, std::span(space.times).first(points.size()));
  put_qualities(out, points);
  switch (points.front().kind) {
    case ValueKind::kDouble:
      for (size_t i = 0; i < points.size(); ++i)
        space.numbers[i] = std::bit_cast<double>(points[i].bits);
      return put_doubles(out, std::span(space.numbers).first(points.size()));
    case ValueKind::kInteger:
    case ValueKind::kBoolean:
      for (size_t i = 0; i < points.size(); ++i)
        space.times[i] = static_cast<int64_t>(points[i].bits);
      return put_integers(out, std::span(space.times).first(points.size()));
    case ValueKind::kText:
    case ValueKind::kObject:
      return put_texts(out, points, text);
  }
}

bool decode_points(std::string_view block, int64_t from_us, int64_t to_us, PointSet& out) {
  In in(block);
  if (in.byte() != kFormat) return false;
  const uint8_t kind = in.byte();
  const uint64_t count = in.varint();
  if (!in.ok() || kind > static_cast<uint8_t>(ValueKind::kObject) || count == 0 ||
      count > kBlockPointsMax)
    return false;
  Scratch& space = scratch();
  const auto times = std::span(space.times).first(count);
  const auto bits = std::span(space.bits).first(count);
  const auto qualities = std::span(space.qualities).first(count);
  if (!get_times(in, times) || !get_qualities(in, qualities)) return false;
  const auto value_kind = static_cast<ValueKind>(kind);
  if (value_kind == ValueKind::kDouble) {
    if (!get_doubles(in, std::span(space.numbers).first(count))) return false;
    std::memcpy(bits.data(), space.numbers.data(), count * sizeof(double));
  } else if (value_kind == ValueKind::kText || value_kind == ValueKind::kObject) {
    if (!get_texts(in, bits, out.text)) return false;
  } else {
    std::array<int64_t, kBlockPointsMax> numbers;
    if (!get_integers(in, std::span(numbers).first(count))) return false;
    std::memcpy(bits.data(), numbers.data(), count * sizeof(int64_t));
  }
  const auto first = std::lower_bound(times.begin(), times.end(), from_us) - times.begin();
  const auto last = std::lower_bound(times.begin(), times.end(), to_us) - times.begin();
  for (auto i = first; i < last; ++i) {
    const auto at = static_cast<size_t>(i);
    out.points.push_back({times[at], bits[at], value_kind, static_cast<Quality>(qualities[at])});
  }
  return in.ok() && in.done();
}

void encode_buckets(std::span<const Bucket> buckets, std::string& bytes) {
  CHECK(!buckets.empty() && buckets.size() <= kBlockPointsMax);
  Out out(bytes);
  Scratch& space = scratch();
  const auto integers = std::span(space.times).first(buckets.size());
  const auto numbers = std::span(space.numbers).first(buckets.size());
  out.byte(kFormat);
  out.byte(kBucketsMark);
  out.varint(buckets.size());
  for (size_t i = 0; i < buckets.size(); ++i) integers[i] = buckets[i].start_us;
  put_times(out, integers);
  for (const auto count : kCounts) {
    for (size_t i = 0; i < buckets.size(); ++i) integers[i] = buckets[i].*count;
    put_integers(out, integers);
  }
  for (const auto member : kNumbers) {
    for (size_t i = 0; i < buckets.size(); ++i) numbers[i] = buckets[i].*member;
    if (member == &Bucket::sum) {
      // Adding decimals leaves dust in the last bits (0.1 + 0.2); the decimal next to it is nearer
      // to the true sum and much shorter.
      for (double& sum : numbers) {
        const double tidy = nearest(sum * 1e4) / 1e4;
        if (std::abs(sum) < 1e11 && std::abs(tidy - sum) <= std::abs(sum) * 1e-13) sum = tidy;
      }
    }
    put_doubles(out, numbers);
  }
}

bool decode_buckets(std::string_view block, int64_t from_us, int64_t to_us, BucketParts parts,
                    std::vector<Bucket>& out) {
  In in(block);
  if (in.byte() != kFormat || in.byte() != kBucketsMark) return false;
  const uint64_t count = in.varint();
  if (!in.ok() || count == 0 || count > kBlockPointsMax) return false;
  Scratch& space = scratch();
  const auto integers = std::span(space.times).first(count);
  const auto numbers = std::span(space.numbers).first(count);
  if (!get_times(in, integers)) return false;
  const auto first = static_cast<size_t>(
      std::lower_bound(integers.begin(), integers.end(), from_us) - integers.begin());
  const auto last = static_cast<size_t>(std::lower_bound(integers.begin(), integers.end(), to_us) -
                                        integers.begin());
  if (first >= last) return true;
  const size_t at = out.size();
  out.resize(at + last - first);
  for (size_t i = first; i < last; ++i) out[at + i - first].start_us = integers[i];
  for (const auto member : kCounts) {
    if (!get_integers(in, integers)) return false;
    for (size_t i = first; i < last; ++i)
      out[at + i - first].*member = static_cast<uint32_t>(integers[i]);
  }
  for (const auto member : kNumbers) {
    const bool extreme = member == &Bucket::min || member == &Bucket::max;
    const bool wanted = parts == BucketParts::kAll || member == &Bucket::first ||
                        (parts == BucketParts::kSums && member == &Bucket::sum) ||
                        (parts == BucketParts::kExtremes && extreme);
    if (!wanted) {
      if (!skip_doubles(in, count)) return false;
      continue;
    }
    if (!get_doubles(in, numbers)) return false;
    for (size_t i = first; i < last; ++i) out[at + i - first].*member = numbers[i];
  }
  return in.ok() && in.done();
}

}  // namespace penstock::stream::history
