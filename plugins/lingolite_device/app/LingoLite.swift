// Translates with the files of this directory: SentencePiece, the frame around a source, and greedy search with a
// cache, in one file of Swift with Foundation. A runtime (Core ML, LiteRT) comes in through `GraphRuntime`; README.md
// says how. Needs Swift 5.7 or newer.
import Foundation

/// An array of numbers with a shape.
public struct Tensor {
    public enum Values {
        case floats([Float])
        case longs([Int64])
        case ints([Int32])
        case bools([Bool])
    }

    public var shape: [Int]
    public var values: Values

    public init(shape: [Int], values: Values) {
        self.shape = shape
        self.values = values
    }

    var floats: [Float] {
        if case .floats(let found) = values { return found }
        preconditionFailure("the runtime gave no floats")
    }
}

/// Runs the graphs of `device.json` by name.
public protocol GraphRuntime {
    func run(_ graph: String, _ inputs: [String: Tensor]) throws -> [String: Tensor]
}

public enum LingoLiteError: Error, Equatable {
    case languages(String)
    case description(String)
    case engine(String)
}

/// A translation: ids of the framed source, generated tokens with the end token, and their text.
public struct Translation {
    public let ids: [Int]
    public let tokens: [Int]
    public let text: String
}

/// Translates single sentences. Not for several threads at once.
public final class LingoLite {
    private let runtime: GraphRuntime
    private let tokenizer: AppTokenizer
    private let graphs: GraphPlan
    private let decoding: DecodingPlan

    public init(directory: URL, runtime: GraphRuntime) throws {
        self.runtime = runtime
        let data = try Data(contentsOf: directory.appendingPathComponent("device.json"))
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let device = try decoder.decode(Device.self, from: data)
        tokenizer = try AppTokenizer(directory: directory, plan: device.tokenizer)
        graphs = device.graphs
        decoding = device.decoding
    }

    /// Translates one sentence; `onToken` is given the text after each token.
    public func translate(
        _ text: String, from source: String, to target: String, onToken: ((String) -> Void)? = nil
    ) throws -> Translation {
        let pair = try tokenizer.pair(source, target)
        let (ids, hasText) = tokenizer.encode(text, pair)
        var tokens: [Int] = []
        if hasText {
            try search(ids, pair) { token in
                tokens.append(token)
                onToken?(self.tokenizer.decode(tokens))
            }
        }
        return Translation(ids: ids, tokens: tokens, text: tokenizer.decode(tokens))
    }

    private func search(_ source: [Int], _ pair: PairPlan, give: (Int) -> Void) throws {
        let decoder = try AppDecoder(graphs, runtime, source)
        var last = tokenizer.plan.start
        for token in pair.targetPrefix {
            _ = try decoder.step(last)
            last = token
        }
        for length in 1...limit(source.count) {
            var logits = try decoder.step(last)
            for id in tokenizer.plan.neverGenerated { logits[id] = -.infinity }
            if length <= decoding.minLength { logits[tokenizer.plan.end] = -.infinity }
            last = 0
            for (id, logit) in logits.enumerated() where logit > logits[last] { last = id }  // the first of equal ones
            give(last)
            if last == tokenizer.plan.end { return }
        }
    }

    private func limit(_ numSourceTokens: Int) -> Int {
        guard let factor = decoding.maxLengthFactor else { return decoding.maxLength }
        return min(decoding.maxLength, max(1, decoding.minLength, Int(factor * Double(numSourceTokens))))
    }
}

// MARK: device.json

struct Device: Decodable {
    let tokenizer: TokenizerPlan
    let decoding: DecodingPlan
    let graphs: GraphPlan
}

struct DecodingPlan: Decodable {
    let maxLength: Int
    let minLength: Int
    let maxLengthFactor: Double?
}

struct GraphInput: Decodable {
    let name: String
    let type: String
    let role: String
    let shape: [Int]
}

struct GraphCall: Decodable {
    let run: String
    let logits: String
    let inputs: [GraphInput]
}

struct GraphState: Decodable {
    let past: String
    let present: String
    let shape: [Int]
    let isPlaced: Bool
    let axis: Int
}

struct GraphPlan: Decodable {
    let encoder: GraphCall
    let decoder: GraphCall
    let state: [GraphState]
    let growth: Int
    let masked: Float
}

struct SidePlan: Decodable {
    let model: String
    let pieces: String?
    let moved: Int
    let unknown: Int
    let controls: [Int]
    let spelled: [String: [Int]]
}

struct PairPlan: Decodable {
    let source: String
    let target: String
    let textPrefix: String
    let sourcePrefix: [Int]
    let sourceSuffix: [Int]
    let targetPrefix: [Int]
}

struct TokenizerPlan: Decodable {
    let source: SidePlan
    let target: SidePlan
    let pairs: [PairPlan]
    let maxLength: Int
    let start: Int
    let end: Int
    let neverGenerated: [Int]
    let strips: Bool
}

// MARK: graphs

/// One sentence on its way through the decoder: what it keeps between calls, and the inputs of the next one.
final class AppDecoder {
    private let graphs: GraphPlan
    private let runtime: GraphRuntime
    private let source: [Int]
    private var position = 0
    private var token = 0
    private var past: [String: Tensor] = [:]
    private var cross: [String: Tensor] = [:]

    init(_ graphs: GraphPlan, _ runtime: GraphRuntime, _ source: [Int]) throws {
        self.graphs = graphs
        self.runtime = runtime
        self.source = source
        for one in graphs.state {
            past[one.past] = Tensor(shape: one.shape, values: .floats(Array(repeating: 0, count: product(one.shape))))
        }
        cross = try runtime.run(graphs.encoder.run, inputs(graphs.encoder))
    }

    /// Logits of the token after `last`.
    func step(_ last: Int) throws -> [Float] {
        token = last
        for one in graphs.state where one.isPlaced && position >= past[one.past]!.shape[one.axis] { grow(one) }
        let outputs = try runtime.run(graphs.decoder.run, inputs(graphs.decoder))
        for one in graphs.state {
            if one.isPlaced { place(outputs[one.present]!, one) } else { past[one.past] = outputs[one.present]! }
        }
        position += 1
        return outputs[graphs.decoder.logits]!.floats
    }

    private func inputs(_ call: GraphCall) throws -> [String: Tensor] {
        try Dictionary(uniqueKeysWithValues: call.inputs.map { ($0.name, try input($0)) })
    }

    private func grow(_ one: GraphState) {
        let old = past[one.past]!
        var shape = old.shape
        shape[one.axis] += graphs.growth
        var values = [Float](repeating: 0, count: product(shape))
        let inner = product(old.shape[one.axis...])
        let wider = product(shape[one.axis...])
        let floats = old.floats
        if inner > 0 {
            for row in 0..<(floats.count / inner) {
                values.replaceSubrange(row * wider..<row * wider + inner, with: floats[row * inner..<(row + 1) * inner])
            }
        }
        past[one.past] = Tensor(shape: shape, values: .floats(values))
    }

    /// Puts one row at the position along the axis.
    private func place(_ row: Tensor, _ one: GraphState) {
        let kept = past[one.past]!
        var values = kept.floats
        let rows = row.floats
        let size = product(kept.shape[(one.axis + 1)...])
        let wide = kept.shape[one.axis] * size
        for index in 0..<(rows.count / size) {
            let begin = index * wide + position * size
            values.replaceSubrange(begin..<begin + size, with: rows[index * size..<(index + 1) * size])
        }
        past[one.past] = Tensor(shape: kept.shape, values: .floats(values))
    }

    private func input(_ one: GraphInput) throws -> Tensor {
        switch one.role {
        case "cross": return cross[one.name]!
        case "past": return past[one.name]!
        case "source_ids": return integers(one, source)
        case "source_mask": return mask(one)
        case "tokens": return integers(one, [token])
        case "position": return integers(one, [position])
        case "distances":
            let last = places() - 1
            return integers(one, (0...last).map { $0 == last ? 0 : max(position - $0, 0) })
        case "target_mask":
            let last = places() - 1
            return sized(one, last + 1, .floats((0...last).map { $0 < position || $0 == last ? 0 : graphs.masked }))
        default:
            throw LingoLiteError.description("device.json has the role \(one.role): take the LingoLite.swift beside it")
        }
    }

    /// Past positions that there is room for, and the one that is computed.
    private func places() -> Int {
        let one = graphs.state.first { $0.isPlaced }!
        return past[one.past]!.shape[one.axis] + 1
    }

    private func mask(_ one: GraphInput) -> Tensor {
        let count = source.count
        if one.type == "bool" { return sized(one, count, .bools(Array(repeating: true, count: count))) }
        return sized(one, count, .floats(Array(repeating: 0, count: count)))
    }

    private func integers(_ one: GraphInput, _ values: [Int]) -> Tensor {
        sized(one, values.count, one.type == "int64" ? .longs(values.map(Int64.init)) : .ints(values.map(Int32.init)))
    }

    private func sized(_ one: GraphInput, _ count: Int, _ values: Tensor.Values) -> Tensor {
        Tensor(shape: one.shape.map { $0 < 0 ? count : $0 }, values: values)
    }
}

private func product<Sizes: Sequence>(_ sizes: Sizes) -> Int where Sizes.Element == Int { sizes.reduce(1, *) }

// MARK: the frame around texts

/// Framed ids of sources, and text of generated ids.
public final class AppTokenizer {
    let plan: TokenizerPlan
    private let models: (source: PieceModel, target: PieceModel)
    private let targetPieces: [Bytes]?
    private let sourceIds: [Bytes: Int]?
    private let targetControls: Set<Int>
    private let spelled: [Int: [Int]]

    init(directory: URL, plan: TokenizerPlan) throws {
        func read(_ name: String) throws -> Data { try Data(contentsOf: directory.appendingPathComponent(name)) }
        func list(_ name: String?) throws -> [Bytes]? {
            guard let name else { return nil }
            return try JSONDecoder().decode([String].self, from: read(name)).map { Bytes($0.utf8) }
        }
        self.plan = plan
        models = (try PieceModel(Bytes(read(plan.source.model))), try PieceModel(Bytes(read(plan.target.model))))
        targetPieces = try list(plan.target.pieces)
        sourceIds = try list(plan.source.pieces).map { pieces in
            Dictionary(pieces.enumerated().map { ($1, $0) }, uniquingKeysWith: { $1 })
        }
        targetControls = Set(plan.target.controls)
        spelled = Dictionary(uniqueKeysWithValues: plan.source.spelled.map { (Int($0)!, $1) })
    }

    func pair(_ source: String, _ target: String) throws -> PairPlan {
        guard let found = plan.pairs.first(where: { $0.source == source && $0.target == target }) else {
            throw LingoLiteError.languages("the model does not translate from \(source) to \(target)")
        }
        return found
    }

    func encode(_ text: String, _ pair: PairPlan) -> (ids: [Int], hasText: Bool) {
        var body: [Int] = []
        var before = 0
        if text.unicodeScalars.contains(where: { !isSpace($0) }) {
            before = pair.textPrefix.isEmpty ? 0 : idsOf(pair.textPrefix).count
            let ids = idsOf(pair.textPrefix + text)
            body = Array(ids.prefix(before)) + ids.dropFirst(before).flatMap { spelled[$0] ?? [$0] }
        }
        let room = plan.maxLength - pair.sourcePrefix.count - pair.sourceSuffix.count
        return (pair.sourcePrefix + Array(body.prefix(room)) + pair.sourceSuffix, body.count > before)
    }

    public func decode(_ ids: [Int]) -> String {
        let kept = ids.filter { !targetControls.contains($0) }
        var text: String
        if let list = targetPieces {
            text = models.target.decode(kept.map { list[$0] }).replacingOccurrences(of: "\u{2581}", with: " ")
        } else {
            text = models.target.decode(kept.map { models.target.pieces[$0 - plan.target.moved] })
        }
        if plan.strips {
            let scalars = text.unicodeScalars
            let begin = scalars.firstIndex { !isSpace($0) } ?? scalars.endIndex
            let end = scalars.lastIndex { !isSpace($0) }.map(scalars.index(after:)) ?? begin
            text = String(scalars[begin..<end])
        }
        return text
    }

    private func idsOf(_ text: String) -> [Int] {
        models.source.encode(Bytes(text.utf8)).map { piece, id in
            if let sourceIds { return sourceIds[piece] ?? plan.source.unknown }
            return id == models.source.unknown ? plan.source.unknown : id + plan.source.moved
        }
    }
}

/// White space as Python's `str.strip` has it.
private func isSpace(_ scalar: Unicode.Scalar) -> Bool {
    scalar.properties.isWhitespace || (0x1C...0x1F).contains(scalar.value)
}

// MARK: SentencePiece

public typealias Bytes = [UInt8]

private let space: Bytes = Bytes("\u{2581}".utf8)
private let replacement: Bytes = Bytes("\u{FFFD}".utf8)

private enum PieceType {
    static let normal = 1
    static let unknown = 2
    static let control = 3
    static let userDefined = 4
    static let unused = 5
    static let byte = 6
}

extension Array where Element == UInt8 {
    /// Bytes of the UTF-8 character at `place`.
    fileprivate func characterLength(at place: Int) -> Int {
        let first = self[place]
        return Swift.min(first < 0xC0 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4, count - place)
    }

    fileprivate func starts(with other: Bytes, at place: Int) -> Bool {
        place + other.count <= count && self[place..<place + other.count].elementsEqual(other)
    }

    fileprivate func replacing(_ old: Bytes, with new: Bytes) -> Bytes {
        var found: Bytes = []
        var place = 0
        while place < count {
            let isOld = starts(with: old, at: place)
            if isOld { found += new } else { found.append(self[place]) }
            place += isOld ? old.count : 1
        }
        return found
    }

    /// UTF-8 with the replacement character in the place of each byte that is none.
    fileprivate var mended: Bytes {
        var found: Bytes = []
        var place = 0
        while place < count {
            let length = characterLength(at: place)
            let character = Bytes(self[place..<place + length])
            let isValid = Bytes(String(decoding: character, as: UTF8.self).utf8) == character
            found += isValid ? character : replacement
            place += isValid ? length : 1
        }
        return found
    }

    fileprivate func littleEndian(at place: Int) -> UInt32 {
        (0..<4).reduce(0) { $0 | UInt32(self[place + $1]) << UInt32(8 * $1) }
    }
}

/// Keys in order, to find all that a text begins with.
private struct SortedKeys {
    private let keys: [Bytes]

    init(_ keys: [Bytes]) { self.keys = keys.sorted { $0.lexicographicallyPrecedes($1) } }

    /// Gives the length of each key that `text` has at `place`, the shortest first.
    func eachPrefix(_ text: Bytes, _ place: Int, give: (Int) -> Void) {
        var low = 0
        var high = keys.count
        var depth = 0
        while place + depth < text.count && low < high {
            let wanted = Int(text[place + depth])
            low = bound(low, high, depth, wanted)
            high = bound(low, high, depth, wanted + 1)
            depth += 1
            if low < high && keys[low].count == depth { give(depth) }
        }
    }

    /// The first key from `low` on whose byte at `depth` is `wanted` or comes after it.
    private func bound(_ from: Int, _ to: Int, _ depth: Int, _ wanted: Int) -> Int {
        var low = from
        var high = to
        while low < high {
            let middle = (low + high) / 2
            if keys[middle].count <= depth || Int(keys[middle][depth]) < wanted { low = middle + 1 } else { high = middle }
        }
        return low
    }

    func longest(_ text: Bytes, _ place: Int) -> Int {
        var found = 0
        eachPrefix(text, place) { found = $0 }
        return found
    }
}

/// Fields of a protocol buffer in order, with numbers or bytes.
private struct Field {
    let number: Int
    var integer = 0
    var bytes: Bytes = []

    static func read(_ data: Bytes) throws -> [Field] {
        var found: [Field] = []
        var place = 0
        func number() throws -> Int {
            var value = 0
            var shift = 0
            while place < data.count {
                let byte = data[place]
                place += 1
                value |= Int(byte & 127) << shift
                shift += 7
                if byte < 128 { return value }
            }
            throw LingoLiteError.description("the tokenizer's file is cut short")
        }
        while place < data.count {
            let key = try number()
            if key & 7 == 0 {
                found.append(Field(number: key >> 3, integer: try number()))
                continue
            }
            let length = key & 7 == 1 ? 8 : key & 7 == 5 ? 4 : try number()
            guard length >= 0, place + length <= data.count else {
                throw LingoLiteError.description("the tokenizer's file is cut short")
            }
            found.append(Field(number: key >> 3, bytes: Bytes(data[place..<place + length])))
            place += length
        }
        return found
    }
}

extension Array where Element == Field {
    fileprivate func last(_ number: Int) -> Field? { last { $0.number == number } }
    fileprivate func flag(_ number: Int, _ normally: Bool) -> Bool { last(number).map { $0.integer != 0 } ?? normally }
}

/// SentencePiece's rules for text before it is segmented.
private struct TextNormalizer {
    private let units: [UInt32]
    private let replacements: Bytes
    private let symbols: SortedKeys
    private let spaceSign: Bytes
    let addsSpace: Bool
    let removesSpaces: Bool

    init(_ fields: [Field], symbols: SortedKeys) {
        let charsmap = fields.last(2)?.bytes ?? []
        let size = charsmap.isEmpty ? 0 : Int(charsmap.littleEndian(at: 0))
        units = (0..<size / 4).map { charsmap.littleEndian(at: 4 + 4 * $0) }
        replacements = Bytes(charsmap.dropFirst(4 + size))
        self.symbols = symbols
        addsSpace = fields.flag(3, true)
        removesSpaces = fields.flag(4, true)
        spaceSign = fields.flag(5, true) ? space : [32]
    }

    /// `isSuffix`: spaces belong to the words before them.
    func normalize(_ text: Bytes, isSuffix: Bool) -> Bytes {
        var place = 0
        var isAfterSpace = removesSpaces
        var found: Bytes = []
        while removesSpaces && place < text.count {
            let (replaced, length) = prefix(text, place)
            if replaced != [32] { break }
            place += length
        }
        if place == text.count { return [] }
        if addsSpace && !isSuffix { found += spaceSign }
        while place < text.count {
            var (replaced, length) = prefix(text, place)
            if isAfterSpace { replaced = Bytes(replaced.drop { $0 == 32 }) }
            if !replaced.isEmpty {
                found += replaced.replacing([32], with: spaceSign)
                isAfterSpace = replaced.last == 32
            }
            isAfterSpace = isAfterSpace && removesSpaces
            place += length
        }
        while removesSpaces && found.count >= spaceSign.count && found.suffix(spaceSign.count).elementsEqual(spaceSign) {
            found.removeLast(spaceSign.count)
        }
        if addsSpace && isSuffix { found += spaceSign }
        return found
    }

    /// What stands for the text at `place`, and how many bytes of it that replaces.
    private func prefix(_ text: Bytes, _ place: Int) -> (Bytes, Int) {
        let symbol = symbols.longest(text, place)
        if symbol > 0 { return (Bytes(text[place..<place + symbol]), symbol) }
        var length = 0
        var value = 0
        if !units.isEmpty {
            var node = offset(units[0])
            for index in place..<text.count {
                node ^= UInt32(text[index])
                if node >= units.count || units[Int(node)] & 0x8000_00FF != UInt32(text[index]) { break }
                let unit = units[Int(node)]
                node ^= offset(unit)
                if unit >> 8 & 1 == 1 {
                    length = index - place + 1
                    value = Int(units[Int(node)] & 0x7FFF_FFFF)
                }
            }
        }
        if length > 0 { return (Bytes(replacements[value...].prefix { $0 != 0 }), length) }
        length = text.characterLength(at: place)
        return (Bytes(text[place..<place + length]), length)
    }

    /// Where the children of a unit of the double array (darts-clone) are.
    private func offset(_ unit: UInt32) -> UInt32 { (unit >> 10) << ((unit & 512) >> 6) }
}

/// A SentencePiece model, unigram or BPE: text to pieces with ids, and pieces back to text.
public final class PieceModel {
    typealias Piece = (bytes: Bytes, id: Int)

    let pieces: [Bytes]
    let unknown: Int
    private let scores: [Float]
    private let types: [Int]
    private let isUnigram: Bool
    private let fallsBack: Bool
    private let isSuffix: Bool
    private let unknownSurface: Bytes
    private let ids: [Bytes: Int]
    private let inText: [Bytes: Int]
    private let keys: SortedKeys
    private let symbols: SortedKeys
    private var byteIds: [UInt8: Int] = [:]
    private let lowest: Float
    private let normalizer: TextNormalizer
    private let denormalizer: TextNormalizer?

    public init(_ file: Bytes) throws {
        let fields = try Field.read(file)
        func part(_ number: Int) throws -> [Field] { try Field.read(fields.first { $0.number == number }?.bytes ?? []) }
        let described = try fields.filter { $0.number == 1 }.map { try Field.read($0.bytes) }
        let pieces = described.map { $0.last(1)?.bytes ?? [] }
        let types = described.map { $0.last(3)?.integer ?? PieceType.normal }
        let scores = described.map { piece in
            Float(bitPattern: (piece.last(2)?.bytes ?? [0, 0, 0, 0]).littleEndian(at: 0))
        }
        let trainer = try part(2)
        isUnigram = (trainer.last(3)?.integer ?? 1) == 1
        fallsBack = trainer.flag(35, false)
        isSuffix = trainer.flag(24, false)
        unknownSurface = trainer.last(44)?.bytes ?? Bytes(" \u{2047} ".utf8)
        let ids = Dictionary(pieces.enumerated().map { ($1, $0) }, uniquingKeysWith: { $1 })
        inText = ids.filter { [PieceType.normal, PieceType.userDefined, PieceType.unused].contains(types[$1]) }
        keys = SortedKeys(Array(inText.keys))
        symbols = SortedKeys(ids.filter { types[$1] == PieceType.userDefined }.map(\.key))
        for id in ids.values where types[id] == PieceType.byte { byteIds[PieceModel.byte(pieces[id])] = id }
        guard let unknown = types.firstIndex(of: PieceType.unknown) else {
            throw LingoLiteError.description("the tokenizer has no piece for what is unknown")
        }
        self.unknown = unknown
        lowest = types.indices.filter { types[$0] == PieceType.normal }.map { scores[$0] }.min() ?? 0
        normalizer = TextNormalizer(try part(3), symbols: symbols)
        let reverse = try part(5)
        denormalizer = reverse.last(2) == nil ? nil : TextNormalizer(reverse, symbols: SortedKeys([]))
        (self.pieces, self.types, self.scores, self.ids) = (pieces, types, scores, ids)
    }

    /// The byte of a piece such as `<0x0A>`.
    private static func byte(_ piece: Bytes) -> UInt8 {
        UInt8(String(decoding: piece[3..<5], as: UTF8.self), radix: 16) ?? 0
    }

    /// Pieces and their ids; several unknown characters in a row are one piece.
    func encode(_ text: Bytes) -> [Piece] {
        let normalized = normalizer.normalize(text, isSuffix: isSuffix)
        var found: [Piece] = []
        for (piece, id) in isUnigram ? unigram(normalized) : bpe(normalized) {
            if id != unknown {
                found.append((piece, id))
            } else if fallsBack {
                found += piece.map { (pieces[byteIds[$0]!], byteIds[$0]!) }
            } else if let before = found.last, before.id == unknown {
                found[found.count - 1] = (before.bytes + piece, id)
            } else {
                found.append((piece, id))
            }
        }
        return found
    }

    /// The segmentation with the highest score; sums are float32, as SentencePiece has them.
    private func unigram(_ text: Bytes) -> [Piece] {
        var best = [Float](repeating: 0, count: text.count + 1)
        var starts = [Int](repeating: -1, count: text.count + 1)
        var chosen = [Int](repeating: 0, count: text.count + 1)
        func offer(_ start: Int, _ end: Int, _ score: Float, _ id: Int) {
            if starts[end] < 0 || best[start] + score > best[end] {
                best[end] = best[start] + score
                starts[end] = start
                chosen[end] = id
            }
        }
        var place = 0
        while place < text.count {
            let length = text.characterLength(at: place)
            var hasCharacter = false
            keys.eachPrefix(text, place) { size in
                let id = inText[Bytes(text[place..<place + size])]!
                if types[id] == PieceType.unused { return }
                let isSymbol = types[id] == PieceType.userDefined
                offer(place, place + size, isSymbol ? Float(0.1 * Double(size - 1)) : scores[id], id)
                hasCharacter = hasCharacter || size == length
            }
            if !hasCharacter { offer(place, place + length, lowest - 10, unknown) }
            place += length
        }
        var found: [Piece] = []
        while place > 0 {
            found.append((Bytes(text[starts[place]..<place]), chosen[place]))
            place = starts[place]
        }
        return found.reversed()
    }

    private struct Merge {
        let score: Float
        let left: Int
        let right: Int
        let merged: Bytes

        func comes(before other: Merge) -> Bool { score > other.score || (score == other.score && left < other.left) }
    }

    /// Merges the pair with the highest score, the leftmost of equal ones, until none is left.
    private func bpe(_ text: Bytes) -> [Piece] {
        var parts: [Bytes] = []
        var frozen: [Bool] = []
        var place = 0
        while place < text.count {
            let symbol = symbols.longest(text, place)
            let length = symbol > 0 ? symbol : text.characterLength(at: place)
            parts.append(Bytes(text[place..<place + length]))
            frozen.append(symbol > 0)
            place += length
        }
        var before = Array(-1..<max(parts.count - 1, 0))
        var after = parts.indices.map { $0 + 1 < parts.count ? $0 + 1 : -1 }
        var waiting: [Merge] = []
        var halves: [Bytes: (Bytes, Bytes)] = [:]
        func offer(_ left: Int, _ right: Int) {
            if left < 0 || right < 0 || frozen[left] || frozen[right] { return }
            let merged = parts[left] + parts[right]
            guard let id = inText[merged] else { return }
            waiting.append(Merge(score: scores[id], left: left, right: right, merged: merged))
            if types[id] == PieceType.unused { halves[merged] = (parts[left], parts[right]) }
        }
        for right in parts.indices.dropFirst() { offer(right - 1, right) }
        // A sentence has few pairs, so the best one is looked for and not kept in a heap.
        while let index = waiting.indices.min(by: { waiting[$0].comes(before: waiting[$1]) }) {
            let top = waiting.remove(at: index)
            let (left, right) = (top.left, top.right)
            let isStale = parts[left].isEmpty || parts[right].isEmpty
                || parts[left].count + parts[right].count != top.merged.count
            if isStale { continue }
            parts[left] = top.merged
            parts[right] = []
            after[left] = after[right]
            if after[left] >= 0 { before[after[left]] = left }
            offer(before[left], left)
            offer(left, after[left])
        }
        return parts.filter { !$0.isEmpty }.flatMap { split($0, halves) }
    }

    /// A piece, or what an unused one was merged from.
    private func split(_ part: Bytes, _ halves: [Bytes: (Bytes, Bytes)]) -> [Piece] {
        let id = ids[part] ?? unknown
        guard types[id] == PieceType.unused, let (left, right) = halves[part] else { return [(part, id)] }
        return split(left, halves) + split(right, halves)
    }

    /// Text of pieces; one that the model does not have is spelled as it is.
    func decode(_ given: [Bytes]) -> String {
        var text: Bytes = []
        var waiting: Bytes = []
        var isBegin = true
        var ateSpace = false
        for piece in given {
            let id = ids[piece] ?? unknown
            if types[id] == PieceType.byte {
                waiting.append(PieceModel.byte(piece))
                continue
            }
            text += waiting.mended
            waiting = []
            if ateSpace || !text.isEmpty { isBegin = false }
            ateSpace = false
            switch types[id] {
            case PieceType.unknown: text += piece == pieces[id] ? unknownSurface : piece
            case PieceType.control: break
            default:
                let isEaten = isBegin && (normalizer.addsSpace || normalizer.removesSpaces) && piece.starts(with: space, at: 0)
                ateSpace = isEaten && !normalizer.removesSpaces
                text += (isEaten ? Bytes(piece.dropFirst(space.count)) : piece).replacing(space, with: [32])
            }
        }
        text += waiting.mended
        return String(decoding: denormalizer?.normalize(text, isSuffix: false) ?? text, as: UTF8.self)
    }
}
