//! Judges that are not asked to write: the probabilities of the verdicts that there are are read instead.

use candle_core::IndexOp;
use mrx::model::{Batch, Message, Prompt};

use crate::ids::Kind;
use crate::lab::Lab;

const EXPERIMENT: &str = r#"
name = "weighed"
iterations = 1
seed = 3

[model]
path = "model"

[prompts]
sql = "prompts.sql"

[respond]
samples = 4
max_tokens = 30

[judge]
decide = "score"
template = "judge.jinja"
samples = 4
temperature = 1.0

[meta_judge]
decide = "score"
template = "meta_judge.jinja"

[train]
epochs = 1
batch = 16

[evaluate]
prompts = "held_out.sql"
max_tokens = 30
baseline = "m0"

[evaluate.judge]
model = "model"
decide = "score"
template = "compare.jinja"
"#;

fn lab() -> Lab {
    let lab = Lab::new();
    lab.write("weighed/experiment.toml", EXPERIMENT);
    lab.write(
        "weighed/prompts.sql",
        "SELECT 'abc ' || repeat(' ab', i::INTEGER) AS prompt FROM range(30) t(i)",
    );
    lab.write(
        "weighed/held_out.sql",
        "SELECT 'de ' || repeat(' fg', i::INTEGER) AS prompt FROM range(20) t(i)",
    );
    lab.write("weighed/judge.jinja", "a {{ prompt }} : {{ response }}");
    lab.write(
        "weighed/meta_judge.jinja",
        "{{ prompt }} {{ response }} {{ judgement_a }} : {{ judgement_b }}",
    );
    lab.write("weighed/compare.jinja", "{{ prompt }} : {{ response_a }} : {{ response_b }}");
    std::fs::create_dir_all(lab.path.join("weighed/model")).unwrap();
    Kind::Prepended.write(&lab.path.join("weighed/model"), 0);
    lab
}

#[test]
fn every_verdict_is_weighed_and_one_of_them_is_drawn() {
    let lab = lab();
    lab.mrx(&["run", "weighed"]).success();
    let judged = "SELECT count(*) > 300, count(DISTINCT text) = 6,
            bool_and(regexp_full_match(text, 'Score: [0-5]')),
            max(abs(list_sum([exp(w.logprob) FOR w IN weighed]) - 1)) < 1e-9,
            bool_and([w.value::INTEGER::VARCHAR FOR w IN weighed] = ['0', '1', '2', '3', '4', '5']),
            bool_and(finish_reason = 'stop' AND prompt_tokens > 5 AND completion_tokens = 0)
         FROM judgements WHERE model = 'm0'";
    assert_eq!(lab.ask(judged), "true,true,true,true,true,true");
    let alike = "SELECT max(n) FROM (SELECT count(DISTINCT weighed) AS n FROM judgements
         WHERE model = 'm0' GROUP BY response_id)";
    assert_eq!(lab.ask(alike), "1", "draws of one response are weighed alike");
    let read = "SELECT bool_and(readings.status = 'ok' AND value = text[8:]::DOUBLE),
            max(abs(soft_value - list_sum([exp(w.logprob) * w.value FOR w IN weighed]))) < 1e-12
         FROM judgements JOIN readings USING (judgement_id) WHERE judgements.model = 'm0'";
    assert_eq!(lab.ask(read), "true,true");
    // What is said of a response is the mean of all verdicts, not of the four that were drawn.
    let scored = "SELECT max(abs(score_chosen - soft_value)) < 1e-9
         FROM pairs JOIN judgements ON chosen_response_id = response_id
         JOIN readings ON readings.judgement_id = judgements.judgement_id WHERE role = 'actor'";
    assert_eq!(lab.ask(scored), "true");
    let meta = "SELECT count(*) > 50, bool_and(regexp_full_match(text, 'Winner: Judgement [AB]')),
            max(abs(soft_value - exp(weighed[1].logprob) + exp(weighed[2].logprob))) < 1e-12
         FROM meta_judgements JOIN readings USING (meta_judgement_id)";
    assert_eq!(lab.ask(meta), "true,true,true");
    let wins = "SELECT bool_and(wins > 0 AND bouts > 0) FROM ratings";
    assert_eq!(lab.ask(wins), "true", "every judgement wins a part of every bout");
    let games = "SELECT count(*), max(abs(preference - exp(weighed[1 + (first_shown = 'baseline')::INTEGER].logprob))) < 1e-12,
            count(DISTINCT preference) > 20
         FROM verdicts WHERE model = 'm1' AND status = 'ok'";
    assert_eq!(lab.ask(games), "40,true,true");
    lab.mrx(&["run", "weighed"]).success().says("nothing to do");
}

/// The model's own logits after the prompt and `Score: `, over the six digits.
#[test]
fn the_weights_are_the_models_own_probabilities() {
    let lab = lab();
    lab.mrx(&["run", "weighed", "read.m0"]).success();
    let model = Kind::Prepended.open(0);
    for row in [1, 40, 77] {
        let at = |column: &str| {
            lab.ask(&format!(
                "SELECT {column} FROM judgements JOIN prompts USING (prompt_id)
                 JOIN responses USING (response_id) ORDER BY judgement_id OFFSET {row} LIMIT 1"
            ))
        };
        let asked = at("to_base64(encode('a ' || prompt || ' : ' || responses.text))");
        let asked = String::from_utf8(decode(&asked)).unwrap();
        let mut ids = model.tokens(&Prompt::Messages(vec![Message::user(asked.clone())])).unwrap();
        let whole = model.tokenised(&[Message::user(asked)], "Score: 0").unwrap().target;
        ids.extend(&whole[..whole.len() - 2]);
        let network = model.network();
        let hidden = network.hidden(&Batch::of([ids.as_slice()])).unwrap();
        let logits = network.logits(&hidden).unwrap().i(ids.len() - 1).unwrap();
        let logits: Vec<f32> = logits.to_vec1().unwrap();
        let digits: Vec<f64> = (0..6)
            .map(|digit| {
                let chat = [Message::user("a")];
                let target = model.tokenised(&chat, &format!("Score: {digit}")).unwrap().target;
                f64::from(logits[target[target.len() - 2] as usize]).exp()
            })
            .collect();
        let total: f64 = digits.iter().sum();
        for (digit, weight) in digits.iter().enumerate() {
            let found: f64 = at(&format!("exp(weighed[{}].logprob)", digit + 1)).parse().unwrap();
            assert!((found - weight / total).abs() < 1e-5, "{digit}: {found}, {}", weight / total);
        }
    }
}

#[test]
fn without_warmth_the_likeliest_verdict_is_drawn() {
    let lab = lab();
    lab.mrx(&["run", "weighed", "read.m0", "--set", "judge.temperature=0"]).success();
    let likeliest = "SELECT bool_and(value = list_reduce(weighed,
            (best, w) -> CASE WHEN w.logprob > best.logprob THEN w ELSE best END).value)
         FROM judgements JOIN readings USING (judgement_id)";
    assert_eq!(lab.ask(likeliest), "true");
}

#[test]
fn a_scripted_model_knows_no_probabilities() {
    let lab = Lab::with_loop();
    let run = lab.mrx(&["run", "loop", "judge.m0", "--set", "judge.decide=score"]);
    run.fails_with(3).says("a scripted model cannot tell probabilities");
}

pub(crate) fn decode(base64: &str) -> Vec<u8> {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits = base64.bytes().filter(|byte| *byte != b'=').map(|byte| {
        u32::try_from(alphabet.iter().position(|letter| *letter == byte).unwrap()).unwrap()
    });
    let bits: Vec<u32> = bits.collect();
    let bytes = bits.chunks(4).flat_map(|four| {
        let word = (0..4).fold(0, |word, at| word << 6 | four.get(at).copied().unwrap_or(0));
        word.to_be_bytes()[1..four.len()].to_vec()
    });
    bytes.collect()
}
